"""Values and rules of a cluster."""

import pytest

from enjoliver.common.errors import InvalidInput
from machines.models import Event
from scheduling.models import Cluster
from scheduling.services import default_cluster, preview_values, set_values, update_cluster
from scheduling.tests.factories import AssignmentFactory, make_machine
from scheduling.values import cluster_values

pytestmark = pytest.mark.django_db


def test_the_default_cluster_has_a_control_plane_of_three():
    cluster = Cluster.objects.get()
    assert (cluster.name, cluster.control_plane_size, cluster.spread) == ("default", 3, "preferred")
    assert (cluster.settle_seconds, cluster.is_scheduling_enabled) == (5, True)


def test_a_deleted_default_cluster_comes_back():
    Cluster.objects.all().delete()
    assert default_cluster() == default_cluster() == Cluster.objects.get()


def test_a_change_is_kept_recorded_and_announced(cluster, intents, committed):
    changed = committed(
        set_values, cluster=cluster, changes={"pod_prefix": 25, "ntp": ["t.x"]}, actor="ada"
    )
    assert changed["pod_prefix"] == (24, 25)
    assert cluster.values == {"pod_prefix": 25, "ntp": ["t.x"]}
    events = Event.objects.filter(kind="value_changed").values_list("actor", "message")
    assert ("ada", "default: pod_prefix: 24 → 25") in events
    assert len(events) == 2
    assert intents == [cluster.pk]


def test_the_same_values_again_change_nothing(cluster, intents, committed):
    for _ in range(2):
        committed(set_values, cluster=cluster, changes={"pod_prefix": 25}, actor="ada")
    assert Event.objects.count() == 1
    assert len(intents) == 1


def test_a_value_like_the_default_is_no_override(cluster):
    set_values(cluster=cluster, changes={"pod_prefix": 25}, actor="ada")
    set_values(cluster=cluster, changes={"pod_prefix": 24}, actor="ada")
    assert cluster.values == {}


def test_all_wrong_keys_are_named_and_nothing_is_changed(cluster):
    changes = {"pod_prefix": 25, "nope": 1, "vault_port": "x"}
    with pytest.raises(InvalidInput) as caught:
        set_values(cluster=cluster, changes=changes, actor="ada")
    assert set(caught.value.fields) == {"nope", "vault_port"}
    cluster.refresh_from_db()
    assert cluster.values == {}
    assert not Event.objects.exists()


def test_replacing_drops_what_is_not_named(cluster):
    set_values(cluster=cluster, changes={"pod_prefix": 25, "timezone": "Asia/Tokyo"}, actor="ada")
    changed = set_values(cluster=cluster, changes={"pod_prefix": 26}, actor="ada", replace=True)
    assert changed == {"timezone": ("Asia/Tokyo", "UTC"), "pod_prefix": (25, 26)}
    assert cluster_values(cluster)["timezone"] == "UTC"


def test_a_preview_says_the_same_and_changes_nothing(cluster):
    assert preview_values(cluster=cluster, changes={"pod_prefix": 25}) == {"pod_prefix": (24, 25)}
    with pytest.raises(InvalidInput):
        preview_values(cluster=cluster, changes={"vault_port": 6443})
    assert Cluster.objects.get().values == {}


def test_contradicting_values_are_refused(cluster):
    with pytest.raises(InvalidInput, match="overlaps"):
        set_values(cluster=cluster, changes={"pod_network": "172.16.0.0/12"}, actor="ada")


def test_the_pod_network_stays_large_enough_for_the_machines(cluster):
    AssignmentFactory.create(machine=make_machine(1), pod_index=300)
    with pytest.raises(InvalidInput, match="number 300"):
        set_values(cluster=cluster, changes={"pod_network": "10.200.0.0/16"}, actor="ada")
    set_values(cluster=cluster, changes={"pod_network": "10.200.0.0/15"}, actor="ada")


def test_a_range_with_a_machine_in_it_is_refused(cluster):
    AssignmentFactory.create(machine=make_machine(1))
    with pytest.raises(InvalidInput, match=r"10\.64\.0\.1"):
        set_values(cluster=cluster, changes={"pod_network": "10.0.0.0/8"}, actor="ada")


def test_rules_are_changed_recorded_and_announced(cluster, intents, committed):
    changed = committed(
        update_cluster, cluster=cluster, actor="ada", control_plane_size=5, spread="required"
    )
    assert changed == {"control_plane_size": (3, 5), "spread": ("preferred", "required")}
    assert (cluster.control_plane_size, cluster.spread) == (5, "required")
    assert Event.objects.get(kind="cluster_changed").actor == "ada"
    assert intents == [cluster.pk]
    assert committed(update_cluster, cluster=cluster, actor="ada", control_plane_size=5) == {}
    assert len(intents) == 1


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ("control_plane_size", 4),
        ("control_plane_size", 0),
        ("control_plane_size", 11),
        ("control_plane_size", "three"),
        ("control_plane_size", 10**30),
        ("spread", "maybe"),
        ("settle_seconds", 61),
        ("settle_seconds", -1),
        ("is_scheduling_enabled", "perhaps"),
    ],
)
def test_a_wrong_rule_is_refused_with_its_name(cluster, rule, value):
    with pytest.raises(InvalidInput) as caught:
        update_cluster(cluster=cluster, actor="ada", **{rule: value})
    assert set(caught.value.fields) == {rule}
    cluster.refresh_from_db()
    assert cluster.control_plane_size == 3


def test_there_are_no_other_rules(cluster):
    with pytest.raises(InvalidInput, match="values"):
        update_cluster(cluster=cluster, actor="ada", values={})
