"""Rules of roles in the scheduler's passes: hardware, counts, spares, machines kept back."""

import pytest

from enjoliver.common.errors import Conflict, InvalidInput
from machines.models import Event
from machines.services import import_locations, set_labels
from machines.tests.factories import mac_of
from machines.topology import Location
from scheduling.models import Assignment, RoleRule, Waiting
from scheduling.requirements import GIB
from scheduling.roles import PROFILE_CONTROL_PLANE, PROFILE_NODE, WaitCode
from scheduling.services import (
    add_kept_back,
    assign_roles,
    plan_swap,
    readmit_machine,
    release_machine,
    remove_kept_back,
    retire_machine,
    run_scheduler,
    set_requirements,
    swap_member,
    update_cluster,
)
from scheduling.tests.factories import LATER, AssignmentFactory, make_fleet, make_machine

pytestmark = pytest.mark.django_db


def fleet(count, start=1, racks=10):
    return [
        make_machine(number, fqdn=f"r{number % racks}-srv{number}.dc1.x")
        for number in range(start, start + count)
    ]


def profiles():
    return dict(Assignment.objects.values_list("boot_mac", "profile"))


def waits():
    return dict(Waiting.objects.values_list("machine__boot_mac", "code"))


def ask_for(cluster, role, **changes):
    return set_requirements(cluster=cluster, role=role, actor="ada", **changes)


def one_member(cluster):
    update_cluster(cluster=cluster, actor="test", control_plane_size=1)


def test_a_machine_that_lacks_something_for_the_control_plane_becomes_a_node(cluster):
    one_member(cluster)
    ask_for(cluster, "control-plane", min_memory_bytes=8 * GIB)
    make_machine(1)
    run_scheduler(cluster=cluster, now=LATER)
    assert "its memory is unknown, the control plane asks for 8 GiB" in Waiting.objects.get().reason
    make_machine(2, memory_bytes=16 * GIB)
    run_scheduler(cluster=cluster, now=LATER)
    assert profiles() == {mac_of(1): PROFILE_NODE, mac_of(2): PROFILE_CONTROL_PLANE}


def test_a_machine_that_suits_no_role_waits_and_says_what_it_lacks(cluster):
    one_member(cluster)
    ask_for(cluster, "node", selector={"pool": "web"}, min_disk_bytes=GIB)
    _, second, third = fleet(3)
    set_labels(machine=third, labels={"pool": "web"}, actor="ada")
    run_scheduler(cluster=cluster, now=LATER)
    assert profiles() == {mac_of(1): PROFILE_CONTROL_PLANE, mac_of(3): PROFILE_NODE}
    waiting = Waiting.objects.get(machine=second)
    assert waiting.code == WaitCode.UNSUITABLE
    assert waiting.reason == "has no label pool, a node asks for pool=web"


def test_so_many_nodes_as_asked_for_spread_over_racks_and_the_rest_stays_free(cluster):
    one_member(cluster)
    ask_for(cluster, "node", count=2)
    for number in (1, 2, 3, 4):
        make_machine(number, fqdn=f"r{1 if number < 4 else 2}-srv{number}.dc1.x")
    run_scheduler(cluster=cluster, now=LATER)
    assert profiles() == {
        mac_of(1): PROFILE_CONTROL_PLANE,
        mac_of(2): PROFILE_NODE,
        mac_of(4): PROFILE_NODE,
    }
    assert waits() == {mac_of(3): WaitCode.ENOUGH}
    ask_for(cluster, "node", count=None)
    assert run_scheduler(cluster=cluster, now=LATER).nodes == 1


def test_spares_are_kept_free_stay_the_same_and_replace_a_missing_member(cluster):
    ask_for(cluster, "control-plane", spares=2)
    members = fleet(6, start=10)
    result = run_scheduler(cluster=cluster, now=LATER)
    assert (result.control_plane, result.nodes, result.waiting) == (3, 1, 2)
    spares = waits()
    assert set(spares.values()) == {WaitCode.SPARE}
    fleet(3, start=1)  # lower MACs do not take the place of spares that are there
    assert run_scheduler(cluster=cluster, now=LATER).nodes == 3
    assert waits() == spares
    release_machine(machine=members[0], actor="ada", reason="broken")
    assert run_scheduler(cluster=cluster, now=LATER).control_plane == 1
    assert waits()[mac_of(10)] == WaitCode.RELEASED
    assert (
        Assignment.objects.filter(profile=PROFILE_CONTROL_PLANE, boot_mac__in=spares).count() == 1
    )


def test_spare_nodes_stay_free_while_the_others_become_nodes(cluster):
    one_member(cluster)
    ask_for(cluster, "node", spares=1)
    fleet(4)
    result = run_scheduler(cluster=cluster, now=LATER)
    assert (result.control_plane, result.nodes, result.waiting) == (1, 2, 1)
    assert run_scheduler(cluster=cluster, now=LATER).waiting == 1


def test_a_machine_that_an_app_above_keeps_back_gets_no_role(cluster):
    one_member(cluster)
    machine = make_machine(1)
    reader = {machine.pk: "in maintenance by ada: a new disk"}.copy
    add_kept_back(reader)
    add_kept_back(reader)
    try:
        run_scheduler(cluster=cluster, now=LATER)
        row = Waiting.objects.get()
        assert (row.code, row.reason) == (WaitCode.HELD, "in maintenance by ada: a new disk")
    finally:
        remove_kept_back(reader)
    settled = run_scheduler(cluster=cluster, now=LATER).next_at
    assert run_scheduler(cluster=cluster, now=settled).control_plane == 1


def test_the_level_of_the_spread_decides_what_counts_as_apart(cluster):
    update_cluster(cluster=cluster, actor="test", spread_level="site")
    for number, site in ((1, "a"), (2, "a"), (3, "b"), (4, "b"), (5, "c")):
        make_machine(number, labels={"site": site, "rack": str(number)})
    run_scheduler(cluster=cluster, now=LATER)
    chosen = [mac for mac, profile in profiles().items() if profile == PROFILE_CONTROL_PLANE]
    assert sorted(chosen) == [mac_of(1), mac_of(3), mac_of(5)]


def test_an_imported_location_counts_for_members_that_are_placed_already(cluster):
    update_cluster(cluster=cluster, actor="test", spread_level="rack")
    fleet(3)
    run_scheduler(cluster=cluster, now=LATER)
    places = {mac_of(n): Location(rack="7" if n < 3 else "8") for n in (1, 2, 3, 4)}
    import_locations(places=places | {mac_of(5): Location(rack="9")}, actor="ada")
    update_cluster(cluster=cluster, actor="test", control_plane_size=5)
    make_machine(4)
    make_machine(5)
    make_machine(6, fqdn="srv6.x")
    run_scheduler(cluster=cluster, now=LATER)
    assert profiles()[mac_of(5)] == PROFILE_CONTROL_PLANE


def test_rules_are_checked_and_said_with_before_and_after(cluster):
    assert ask_for(cluster, "node", spares=2, selector={"a": "b"}) == {
        "spares": (0, 2),
        "selector": ({}, {"a": "b"}),
    }
    assert ask_for(cluster, "node", spares=2) == {}
    assert "spares: 0 → 2" in Event.objects.get(kind="role_rule_changed").message
    for role, changes, field in (
        ("node", {"spares": 101}, "spares"),
        ("node", {"count": -1}, "count"),
        ("node", {"selector": {"": "x"}}, "selector."),
        ("node", {"selector": []}, "selector"),
        ("node", {"min_disk_bytes": "much"}, "min_disk_bytes"),
        ("node", {"colour": 1}, "colour"),
        ("control-plane", {"count": 3}, "count"),
        ("etcd", {}, "role"),
    ):
        with pytest.raises(InvalidInput) as refused:
            ask_for(cluster, role, **changes)
        assert field in refused.value.fields, refused.value.fields
    assert RoleRule.objects.get().spares == 2


def test_a_retired_machine_gets_no_role_from_anybody_until_it_is_readmitted(cluster):
    one_member(cluster)
    machine = make_machine(1)
    assert retire_machine(machine=machine, actor="ada", reason="sold")
    assert not retire_machine(machine=machine, actor="ada", reason="sold")
    assert run_scheduler(cluster=cluster, now=LATER).control_plane == 0
    with pytest.raises(Conflict, match="retired"):
        assign_roles(machine=machine, roles=["kubernetes-node"], actor="ada")
    assert readmit_machine(machine=machine, actor="ada")
    assert run_scheduler(cluster=cluster, now=LATER).control_plane == 1


def test_a_node_is_retired_with_its_role_and_a_member_is_not(cluster):
    one_member(cluster)
    member, node = fleet(2)
    run_scheduler(cluster=cluster, now=LATER)
    assert retire_machine(machine=node, actor="ada", reason="sold")
    assert profiles() == {mac_of(1): PROFILE_CONTROL_PLANE}
    with pytest.raises(Conflict, match="replace it"):
        retire_machine(machine=member, actor="ada", reason="sold")
    assert profiles() == {mac_of(1): PROFILE_CONTROL_PLANE}


def cluster_with_free_machines(cluster):
    """Three members in racks 1 to 3; free: one in rack 1, one in rack 2, one in rack 4."""
    update_cluster(cluster=cluster, actor="test", spread_level="rack")
    members = fleet(3)
    run_scheduler(cluster=cluster, now=LATER)
    ask_for(cluster, "node", count=0)
    free = [
        make_machine(number, fqdn=f"r{rack}-srv{number}.dc1.x")
        for number, rack in ((4, 1), (5, 2), (6, 4))
    ]
    run_scheduler(cluster=cluster, now=LATER)
    return members, free


def test_the_best_spare_is_the_one_that_keeps_the_members_apart(cluster):
    members, _ = cluster_with_free_machines(cluster)
    plan = plan_swap(machine=members[0])
    assert plan.score_before == 100
    assert [(spare.mac, spare.score) for spare in plan.spares] == [
        (mac_of(4), 100),
        (mac_of(6), 100),
        (mac_of(5), 67),
    ]
    plan = plan_swap(machine=members[1])
    assert [spare.mac for spare in plan.spares] == [mac_of(5), mac_of(6), mac_of(4)]
    assert plan.member_ids == tuple(member.pk for member in members)


def test_with_a_required_spread_only_unused_domains_will_do(cluster):
    members, free = cluster_with_free_machines(cluster)
    update_cluster(cluster=cluster, actor="test", spread="required")
    assert [spare.mac for spare in plan_swap(machine=members[0]).spares] == [mac_of(4), mac_of(6)]
    for machine in (free[0], free[2]):
        retire_machine(machine=machine, actor="ada", reason="sold")
    plan = plan_swap(machine=members[0])
    assert plan.spares == ()
    assert "the spread is required" in plan.lack


def test_nobody_free_is_said_with_the_most_common_reason(cluster):
    members = fleet(3)
    run_scheduler(cluster=cluster, now=LATER)
    assert "all have a role" in plan_swap(machine=members[0]).lack
    ask_for(cluster, "control-plane", min_memory_bytes=GIB)
    fleet(1, start=9)
    assert "1 of them: its memory is unknown" in plan_swap(machine=members[0]).lack


def test_a_member_and_its_successor_change_places_in_one_step(cluster, intents, committed):
    members, free = cluster_with_free_machines(cluster)
    given = committed(
        swap_member, leaving=members[0], joining=free[2], actor="ada", reason="dead board"
    )
    assert given.profile == PROFILE_CONTROL_PLANE
    held = [mac for mac, profile in profiles().items() if profile == PROFILE_CONTROL_PLANE]
    assert sorted(held) == [mac_of(2), mac_of(3), mac_of(6)]
    assert waits()[mac_of(1)] == WaitCode.RELEASED
    assert intents == [cluster.pk]
    run_scheduler(cluster=cluster, now=LATER)
    assert mac_of(1) not in profiles()


def test_a_swap_that_cannot_be_made_changes_nothing(cluster):
    members, free = cluster_with_free_machines(cluster)
    before = profiles()
    with pytest.raises(Conflict):
        swap_member(leaving=members[0], joining=members[1], actor="ada", reason="x")
    with pytest.raises(Conflict):
        swap_member(leaving=free[0], joining=free[1], actor="ada", reason="x")
    free[0].interfaces.update(ipv4=None)
    with pytest.raises(Conflict, match="no usable address"):
        swap_member(leaving=members[0], joining=free[0], actor="ada", reason="x")
    assert profiles() == before


def test_a_plan_over_many_free_machines_costs_a_constant_number_of_queries(
    cluster, django_assert_max_num_queries
):
    update_cluster(cluster=cluster, actor="test", is_scheduling_enabled=False)
    make_fleet(2000)
    member = make_machine(5000)
    AssignmentFactory.create(machine=member, profile=PROFILE_CONTROL_PLANE)
    with django_assert_max_num_queries(25):
        assert len(plan_swap(machine=member).spares) == 2000
