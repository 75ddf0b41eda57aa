"""Passes of the scheduler over stored facts."""

from datetime import timedelta

import pytest

from machines.models import Event, Machine
from machines.tests.factories import EPOCH, MachineConflictFactory, address_of, mac_of
from scheduling.models import AssignedRole, Assignment, Cluster, Waiting
from scheduling.roles import PROFILE_CONTROL_PLANE, PROFILE_NODE, WaitCode
from scheduling.services import (
    assign_roles,
    readmit_machine,
    release_machine,
    run_scheduler,
    set_values,
    update_cluster,
)
from scheduling.services.scheduler import BATCH
from scheduling.tests.factories import (
    LATER,
    AssignmentFactory,
    ClusterFactory,
    make_fleet,
    make_machine,
)

pytestmark = pytest.mark.django_db


def profiles():
    return {a.boot_mac: a.profile for a in Assignment.objects.all()}


def reasons():
    return {
        w.machine.boot_mac: (w.code, w.reason) for w in Waiting.objects.select_related("machine")
    }


def test_nothing_is_placed_before_three_machines_are_there(cluster):
    for number in (1, 2):
        make_machine(number)
    result = run_scheduler(cluster=cluster, now=LATER)
    assert (result.control_plane, result.nodes, result.waiting) == (0, 0, 2)
    assert set(reasons().values()) == {
        (WaitCode.CONTROL_PLANE, "control plane needs 3 machines, 2 available")
    }


def test_three_machines_become_the_control_plane_and_the_rest_nodes(cluster, intents, committed):
    for number in range(1, 6):
        make_machine(number)
    result = committed(run_scheduler, cluster=cluster, now=LATER)
    assert (result.control_plane, result.nodes, result.waiting) == (3, 2, 0)
    assert profiles() == {
        mac_of(1): PROFILE_CONTROL_PLANE,
        mac_of(2): PROFILE_CONTROL_PLANE,
        mac_of(3): PROFILE_CONTROL_PLANE,
        mac_of(4): PROFILE_NODE,
        mac_of(5): PROFILE_NODE,
    }
    assert set(intents) == {cluster.pk}


def test_roles_facts_and_events_are_stored_with_the_placement(cluster):
    update_cluster(cluster=cluster, actor="test", control_plane_size=1)
    machine = make_machine(7, fqdn="r3-srv7.dc1.example.test")
    run_scheduler(cluster=cluster, now=LATER)
    assignment = machine.assignment
    assert [r.role for r in assignment.roles.all()] == ["etcd-member", "kubernetes-control-plane"]
    assert (assignment.ipv4, assignment.prefix, assignment.gateway) == (
        address_of(7),
        14,
        "10.64.0.1",
    )
    assert (assignment.boot_mac, assignment.interface_name) == (mac_of(7), "eth0")
    assert (assignment.fqdn, assignment.failure_domain) == ("r3-srv7.dc1.example.test", "rack:3")
    assert (assignment.disk_bytes, assignment.assigned_by) == (20 * 2**30, "scheduler")
    event = Event.objects.get(machine=machine, kind="role_assigned")
    assert event.actor == "scheduler"
    assert "etcd-member, kubernetes-control-plane" in event.message


def test_a_second_pass_changes_nothing(cluster, django_assert_max_num_queries):
    for number in range(1, 6):
        make_machine(number)
    run_scheduler(cluster=cluster, now=LATER)
    before = (profiles(), Event.objects.count(), Cluster.objects.get().version)
    with django_assert_max_num_queries(8):
        result = run_scheduler(cluster=cluster, now=LATER)
    assert (result.control_plane, result.nodes, result.waiting) == (0, 0, 0)
    assert (profiles(), Event.objects.count(), Cluster.objects.get().version) == before


def test_reasons_are_rewritten_only_when_they_change(cluster):
    make_machine(1)
    run_scheduler(cluster=cluster, now=LATER)
    version = Cluster.objects.get().version
    row = Waiting.objects.get()
    run_scheduler(cluster=cluster, now=LATER + timedelta(minutes=1))
    assert Cluster.objects.get().version == version
    make_machine(2)
    run_scheduler(cluster=cluster, now=LATER + timedelta(minutes=2))
    again = Waiting.objects.get(machine=row.machine)
    assert again.reason != row.reason
    assert again.since == row.since


def test_the_control_plane_settles_and_the_next_pass_is_announced(cluster):
    for number, age in ((1, 30), (2, 20), (3, 2)):
        make_machine(number, created_at=LATER - timedelta(seconds=age))
    result = run_scheduler(cluster=cluster, now=LATER)
    assert result.next_at == LATER + timedelta(seconds=3)
    assert {code for code, _ in reasons().values()} == {WaitCode.SETTLING}
    assert run_scheduler(cluster=cluster, now=result.next_at).control_plane == 3
    assert not Waiting.objects.exists()


def test_the_control_plane_is_spread_over_switches_before_racks_before_names(cluster):
    make_machine(1, chassis="tor-a")
    make_machine(2, chassis="tor-a")
    make_machine(3, labels={"rack": "7"}, fqdn="r8-srv1.x")
    make_machine(4, labels={"rack": "7"})
    make_machine(5, fqdn="r8-srv2.x")
    run_scheduler(cluster=cluster, now=LATER)
    chosen = Assignment.objects.filter(profile=PROFILE_CONTROL_PLANE)
    assert set(chosen.values_list("boot_mac", "failure_domain")) == {
        (mac_of(1), "chassis:tor-a"),
        (mac_of(3), "rack:7"),
        (mac_of(5), "rack:8"),
    }


def test_required_spread_waits_until_the_domains_are_there(cluster):
    update_cluster(cluster=cluster, actor="test", spread="required")
    for number in (1, 2, 3):
        make_machine(number, fqdn=f"r{number // 2}-srv{number}.x")
    run_scheduler(cluster=cluster, now=LATER)
    assert {code for code, _ in reasons().values()} == {WaitCode.SPREAD}
    make_machine(4, fqdn="r9-srv1.x")
    assert run_scheduler(cluster=cluster, now=LATER).control_plane == 3


@pytest.mark.parametrize("kind", ["duplicate_uuid", "shared_mac"])
def test_a_machine_whose_identity_is_disputed_waits_with_that_reason(cluster, kind):
    update_cluster(cluster=cluster, actor="test", control_plane_size=1)
    disputed, _ = make_machine(1), make_machine(2)
    MachineConflictFactory.create(machine=disputed, kind=kind, subject="x", detail="also at y")
    run_scheduler(cluster=cluster, now=LATER)
    assert profiles() == {mac_of(2): PROFILE_CONTROL_PLANE}
    code, reason = reasons()[mac_of(1)]
    assert code == WaitCode.CONFLICT
    assert "also at y" in reason


def test_a_strangers_query_bars_nobody(cluster):
    update_cluster(cluster=cluster, actor="test", control_plane_size=1)
    MachineConflictFactory.create(machine=make_machine(1), kind="query_mismatch")
    assert run_scheduler(cluster=cluster, now=LATER).control_plane == 1


def test_two_machines_with_one_boot_mac_get_no_role_even_before_the_conflict_is_seen(cluster):
    update_cluster(cluster=cluster, actor="test", control_plane_size=1)
    make_machine(1)
    make_machine(2, boot_mac=mac_of(1))
    assert run_scheduler(cluster=cluster, now=LATER).waiting == 2
    assert not Assignment.objects.exists()


def test_the_boot_mac_of_a_role_holder_gets_no_second_role(cluster):
    AssignmentFactory.create(machine=make_machine(1))
    make_machine(2, boot_mac=mac_of(1))
    run_scheduler(cluster=cluster, now=LATER)
    assert Assignment.objects.count() == 1
    assert {code for code, _ in reasons().values()} == {WaitCode.CONFLICT}


def test_an_address_conflict_bars_from_the_control_plane_only(cluster):
    update_cluster(cluster=cluster, actor="test", control_plane_size=1)
    MachineConflictFactory.create(
        machine=make_machine(1), kind="shared_address", subject="10.64.0.1"
    )
    run_scheduler(cluster=cluster, now=LATER)
    assert "can only become a node" in reasons()[mac_of(1)][1]
    make_machine(2)
    run_scheduler(cluster=cluster, now=LATER)
    assert profiles() == {mac_of(1): PROFILE_NODE, mac_of(2): PROFILE_CONTROL_PLANE}


def test_an_address_that_another_machine_has_pinned_bars_from_the_control_plane(cluster):
    update_cluster(cluster=cluster, actor="test", control_plane_size=1)
    AssignmentFactory.create(machine=make_machine(5), ipv4=address_of(1))
    make_machine(1)
    run_scheduler(cluster=cluster, now=LATER)
    assert "claimed twice" in reasons()[mac_of(1)][1]


def test_a_machine_without_usable_address_waits(cluster):
    make_machine(1, boot_interface__ipv4=None, boot_interface__cidrv4="")
    make_machine(2, boot_interface__ipv4="100.64.3.4")
    run_scheduler(cluster=cluster, now=LATER)
    assert reasons()[mac_of(1)][0] == WaitCode.NO_ADDRESS
    assert reasons()[mac_of(2)] == (
        WaitCode.ADDRESS_IN_RANGE,
        "its address 100.64.3.4 lies in the pod_network",
    )


def test_a_machine_without_boot_interface_waits(cluster):
    machine = make_machine(1)
    machine.interfaces.all().delete()
    run_scheduler(cluster=cluster, now=LATER)
    assert reasons()[mac_of(1)][0] == WaitCode.NO_ADDRESS


def test_a_machine_settles_from_the_moment_that_nothing_bars_it_any_more(cluster):
    conflict = MachineConflictFactory.create(machine=make_machine(1), kind="shared_mac")
    make_machine(2)
    make_machine(3)
    run_scheduler(cluster=cluster, now=LATER)
    conflict.delete()
    result = run_scheduler(cluster=cluster, now=LATER + timedelta(hours=1))
    assert result.next_at == LATER + timedelta(hours=1, seconds=5)
    assert Waiting.objects.get(machine__boot_mac=mac_of(2)).eligible_at == EPOCH


def test_a_disabled_cluster_places_nobody_and_says_so(cluster):
    update_cluster(cluster=cluster, actor="test", is_scheduling_enabled=False)
    for number in (1, 2, 3):
        make_machine(number)
    run_scheduler(cluster=cluster, now=LATER)
    assert {code for code, _ in reasons().values()} == {WaitCode.DISABLED}


def test_further_clusters_take_no_machine_by_themselves(cluster):
    make_machine(1)
    other = ClusterFactory.create(control_plane_size=1)
    assert run_scheduler(cluster=other, now=LATER).waiting == 0
    assert not Assignment.objects.exists()


def test_a_missing_member_is_replaced_and_only_all_missing_ones_at_once(cluster):
    members = [make_machine(number) for number in (1, 2, 3)]
    run_scheduler(cluster=cluster, now=LATER)
    for member in members[:2]:
        release_machine(machine=member, actor="test", reason="broken board")
    make_machine(4)
    run_scheduler(cluster=cluster, now=LATER)
    assert reasons()[mac_of(4)] == (
        WaitCode.CONTROL_PLANE,
        "control plane needs 3 machines, 1 available and 1 in place",
    )
    make_machine(5)
    assert run_scheduler(cluster=cluster, now=LATER).control_plane == 2
    assert profiles()[mac_of(4)] == profiles()[mac_of(5)] == PROFILE_CONTROL_PLANE


def test_a_released_machine_is_left_alone_until_it_is_readmitted(cluster):
    update_cluster(cluster=cluster, actor="test", control_plane_size=1)
    machine = make_machine(1)
    run_scheduler(cluster=cluster, now=LATER)
    release_machine(machine=machine, actor="ada", reason="repair")
    run_scheduler(cluster=cluster, now=LATER)
    assert reasons()[mac_of(1)] == (
        WaitCode.RELEASED,
        "released by ada: repair; waits for an operator",
    )
    assert readmit_machine(machine=machine, actor="ada")
    assert not readmit_machine(machine=machine, actor="ada")
    assert run_scheduler(cluster=cluster, now=LATER).control_plane == 1


def test_operators_members_count_for_the_control_plane(cluster):
    for number in range(1, 6):
        make_machine(number)
    assign_roles(
        machine=Machine.objects.get(boot_mac=mac_of(5)), roles=["etcd-member"], actor="ada"
    )
    result = run_scheduler(cluster=cluster, now=LATER)
    assert (result.control_plane, result.nodes) == (2, 2)


def test_a_larger_control_plane_is_filled_and_a_smaller_one_keeps_its_members(cluster):
    for number in range(1, 5):
        make_machine(number)
    run_scheduler(cluster=cluster, now=LATER)
    update_cluster(cluster=cluster, actor="test", control_plane_size=5)
    for number in (5, 6):
        make_machine(number)
    assert run_scheduler(cluster=cluster, now=LATER).control_plane == 2
    update_cluster(cluster=cluster, actor="test", control_plane_size=1)
    make_machine(7)
    assert run_scheduler(cluster=cluster, now=LATER).nodes == 1
    assert Assignment.objects.filter(profile=PROFILE_CONTROL_PLANE).count() == 5


def test_pod_indexes_are_the_lowest_free_ones(cluster):
    update_cluster(cluster=cluster, actor="test", control_plane_size=1)
    for number in (1, 2, 3):
        make_machine(number)
    run_scheduler(cluster=cluster, now=LATER)
    release_machine(machine=Machine.objects.get(boot_mac=mac_of(2)), actor="test", reason="repair")
    make_machine(4)
    run_scheduler(cluster=cluster, now=LATER)
    indexes = dict(Assignment.objects.values_list("boot_mac", "pod_index"))
    assert indexes == {mac_of(1): 0, mac_of(4): 1, mac_of(3): 2}


def test_machines_beyond_the_pod_network_wait(cluster):
    update_cluster(cluster=cluster, actor="test", control_plane_size=1)
    changes = {"pod_network": "10.200.0.0/23", "pod_prefix": 24}
    set_values(cluster=cluster, changes=changes, actor="test")
    for number in (1, 2, 3):
        make_machine(number)
    result = run_scheduler(cluster=cluster, now=LATER)
    assert (result.control_plane, result.nodes, result.waiting) == (1, 1, 1)
    assert {code for code, _ in reasons().values()} == {WaitCode.FULL}


def test_stale_reasons_of_placed_machines_vanish(cluster):
    assignment = AssignmentFactory.create(machine=make_machine(1))
    Waiting.objects.create(machine=assignment.machine, code="x", reason="x", since=EPOCH)
    run_scheduler(cluster=cluster, now=LATER)
    assert not Waiting.objects.exists()


def test_ten_thousand_machines_are_placed_in_one_pass(cluster, django_assert_max_num_queries):
    make_fleet(10_000)
    batches = 10_000 / BATCH
    with django_assert_max_num_queries(int(40 + 30 * batches)):
        result = run_scheduler(cluster=cluster, now=LATER)
    assert (result.control_plane, result.nodes, result.waiting) == (3, 9_997, 0)
    assert Assignment.objects.count() == 10_000
    assert AssignedRole.objects.count() == 10_003
    members = Assignment.objects.filter(profile=PROFILE_CONTROL_PLANE)
    assert members.values("failure_domain").distinct().count() == 3
    assert set(Assignment.objects.values_list("pod_index", flat=True)) == set(range(10_000))
    with django_assert_max_num_queries(8):
        run_scheduler(cluster=cluster, now=LATER)


def test_ten_thousand_waiting_machines_cost_a_constant_number_of_queries(
    cluster, django_assert_max_num_queries
):
    update_cluster(cluster=cluster, actor="test", is_scheduling_enabled=False)
    make_fleet(10_000)
    run_scheduler(cluster=cluster, now=LATER)
    assert Waiting.objects.count() == 10_000
    with django_assert_max_num_queries(20):
        run_scheduler(cluster=cluster, now=LATER)
