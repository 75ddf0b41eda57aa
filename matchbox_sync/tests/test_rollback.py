"""Going back to an earlier content: under the same rails, without rendering, and it stays."""

import pytest

from enjoliver.common.errors import Conflict
from matchbox_sync.documents import load_document
from matchbox_sync.membership import present_membership
from matchbox_sync.models import DesiredConfig, MachineConfig, PendingChange, Revision
from matchbox_sync.services import (
    approve_change,
    previous_content,
    prune_revisions,
    roll_back,
    set_release_policy,
)
from matchbox_sync.services.revisions import release_at_once
from matchbox_sync.tests.fleet import CONTROL_PLANE, place
from matchbox_sync.tests.test_sync import change_value, forbid_rendering, sync
from scheduling.values import default_of, find_value

pytestmark = [pytest.mark.django_db, pytest.mark.matchbox]


@pytest.fixture
def changed(cluster):
    """Two machines whose revision 2 holds a bad time server; their documents of revision 1."""
    machines = [place(number) for number in (1, 2)]
    sync(cluster)
    good = {m.pk: DesiredConfig.objects.get(pk=m.pk).sha512 for m in machines}
    change_value(cluster, ntp=["bad.example.test"])
    sync(cluster)
    return good


def back(cluster, number=1, reason="clocks stand still"):
    return roll_back(
        cluster=cluster,
        revision=Revision.objects.get(number=number),
        actor="olga",
        reason=reason,
    )


def desired(pk):
    return DesiredConfig.objects.select_related("config__revision").get(pk=pk)


def test_a_rollback_is_a_new_revision_and_renders_nothing(cluster, changed, monkeypatch):
    made = back(cluster)
    assert (made.number, made.author, made.reason) == (3, "olga", "clocks stand still")
    assert made.cause.startswith("rollback to revision 1: ")
    forbid_rendering(monkeypatch)
    result = sync(cluster)
    assert (result.revision, result.rendered, result.reused) == (3, 0, 2)
    for pk, sha512 in changed.items():
        assert desired(pk).sha512 == sha512
        assert desired(pk).config.revision.number == 3
    made.refresh_from_db()
    assert made.completed_at is not None
    assert made.machines_changed == 2
    for _ in range(2):  # templates and values still say the bad content
        assert sync(cluster).revision is None
    assert cluster.values["ntp"] == ["bad.example.test"]


def test_what_was_rolled_back_counts_as_rejected_with_the_reason(cluster, changed):
    back(cluster)
    sync(cluster)
    change = PendingChange.objects.get(closed_at=None)
    assert (change.state, change.decided_by, change.reason) == (
        "rejected",
        "olga",
        "clocks stand still",
    )
    assert change.revision == Revision.objects.get(number=2)
    # Another value on top would carry it along: it waits.
    change_value(cluster, timezone="Europe/Paris")
    assert sync(cluster).revision is None
    # Without the bad value it waits for nobody.
    change_value(cluster, ntp=default_of(find_value("ntp")), timezone="UTC")
    assert sync(cluster).revision is None
    change_value(cluster, timezone="Europe/Paris")
    assert sync(cluster).revision == 4


def test_machines_that_never_moved_stay_where_they_are(cluster):
    first, second = place(1), place(2)
    sync(cluster)
    set_release_policy(lambda revision, machine_ids: {first.pk} & set(machine_ids))
    try:
        change_value(cluster, ntp=["bad.example.test"])
        sync(cluster)
        assigned_at = desired(second.pk).assigned_at
        set_release_policy(lambda revision, machine_ids: ())
        back(cluster)
        sync(cluster)
        # The one that moved waits for its turn, as under any revision.
        assert desired(first.pk).config_id != desired(first.pk).newest_id
        row = desired(second.pk)
        assert row.config_id == row.newest_id
        assert row.assigned_at == assigned_at
        assert b"bad.example.test" not in load_document(row.sha512)
    finally:
        set_release_policy(release_at_once)


def test_a_machine_that_came_later_is_rendered_for_the_old_content(cluster, changed):
    late = place(3)
    sync(cluster)
    back(cluster)
    result = sync(cluster)
    assert (result.rendered, result.reused) == (1, 2)
    assert b"bad.example.test" not in load_document(desired(late.pk).sha512)


def test_going_forward_again_is_a_rollback_too_or_an_approval(cluster, changed):
    bad = {pk: desired(pk).sha512 for pk in changed}
    back(cluster, 1)
    sync(cluster)
    back(cluster, 2, reason="it was the network")
    assert sync(cluster).revision == 4
    assert {pk: desired(pk).sha512 for pk in changed} == bad
    sync(cluster)
    assert not PendingChange.objects.filter(closed_at=None).exists()
    back(cluster, 1)
    sync(cluster)
    approve_change(change=PendingChange.objects.get(closed_at=None), actor="olga")
    assert sync(cluster).revision == 6
    assert {pk: desired(pk).sha512 for pk in changed} == bad


def test_a_rollback_in_the_middle_of_a_sync_wins(cluster, changed, monkeypatch):
    from matchbox_sync.services import run
    from matchbox_sync.services.configs import render_batch as real

    monkeypatch.setattr(run, "BATCH", 1)
    change_value(cluster, ntp=["worse.example.test"])
    calls = []

    def render_batch(*args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            back(cluster)
        return real(*args, **kwargs)

    monkeypatch.setattr(run, "render_batch", render_batch)
    sync(cluster)
    assert Revision.objects.get(number=3).completed_at is None
    sync(cluster)
    for pk, sha512 in changed.items():
        assert desired(pk).sha512 == sha512
    assert Revision.objects.get(number=4).completed_at is not None
    assert sync(cluster).revision is None


def test_a_rollback_that_cannot_be_had_says_why(cluster, changed, settings):
    with pytest.raises(Conflict, match="the one in force"):
        back(cluster, 2)
    settings.API_URI = "http://192.0.2.7:5000"
    with pytest.raises(Conflict, match="the engine is at"):
        back(cluster, 1)
    Revision.objects.filter(number=1).update(values={})
    with pytest.raises(Conflict, match="kept no values"):
        back(cluster, 1)
    assert Revision.objects.count() == 2


def test_the_content_to_go_back_to_is_the_last_one_that_nobody_rejected(cluster, changed):
    place(3)
    sync(cluster)  # revision 3 has the content of 2
    newest = Revision.objects.get(number=3)
    assert previous_content(newest) == Revision.objects.get(number=1)
    made = back(cluster)
    sync(cluster)
    assert previous_content(made) is None


def test_what_to_go_back_to_is_not_pushed_out_by_added_machines(cluster, changed):
    for number in range(3, 7):
        place(number)
        sync(cluster)
    for pk in changed:  # the configs of revision 1 are nobody's previous ones
        DesiredConfig.objects.filter(pk=pk).update(previous=None)
    prune_revisions(cluster=cluster, keep=2)
    assert list(Revision.objects.values_list("number", flat=True)) == [6, 5, 4, 3, 2, 1]
    assert not MachineConfig.objects.filter(revision__number=1).exists()
    back(cluster)
    result = sync(cluster)
    assert (result.rendered, result.reused) == (6, 0)
    assert {pk: desired(pk).sha512 for pk in changed} == changed


def test_membership_keeps_the_ports_that_are_in_force(cluster):
    place(1, CONTROL_PLANE)
    sync(cluster)
    change_value(cluster, kubernetes_apiserver_port=7443)
    sync(cluster)
    assert present_membership(cluster.pk)["kubernetes_apiserver_uri_list"].endswith(":7443")
    back(cluster)
    sync(cluster)
    assert not present_membership(cluster.pk)["kubernetes_apiserver_uri_list"].endswith(":7443")


def test_the_statements_of_a_rollback_grow_with_batches_not_with_machines(
    cluster, django_assert_max_num_queries
):
    for number in range(1, 3):
        place(number)
    sync(cluster)
    change_value(cluster, ntp=["bad.example.test"])
    sync(cluster)
    back(cluster)
    with django_assert_max_num_queries(120) as few:
        sync(cluster)
    change_value(cluster, ntp=default_of(find_value("ntp")))
    for number in range(3, 9):
        place(number)
    sync(cluster)
    change_value(cluster, ntp=["bad.example.test"])
    sync(cluster)
    back(cluster, Revision.objects.order_by("-number")[1].number)
    with django_assert_max_num_queries(len(few.captured_queries)):
        assert sync(cluster).reused == 8


def test_a_machine_whose_facts_changed_after_a_kill_gets_its_config_in_a_new_revision(
    cluster, monkeypatch
):
    from matchbox_sync.services import run
    from matchbox_sync.services.configs import store_batch as real
    from scheduling.models import Assignment

    machine = place(1)
    place(2)
    monkeypatch.setattr(run, "BATCH", 1)
    calls = []

    def store_batch(*args, **kwargs):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(run, "store_batch", store_batch)
    with pytest.raises(KeyboardInterrupt):
        sync(cluster)
    monkeypatch.setattr(run, "store_batch", real)
    Assignment.objects.filter(machine=machine).update(fqdn="renamed.example.test")
    assert sync(cluster).rendered == 2
    assert MachineConfig.objects.filter(machine=machine).count() == 2
    assert Revision.objects.get(number=2).completed_at is not None
