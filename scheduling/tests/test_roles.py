"""Roles by an operator's hand."""

import pytest

from enjoliver.common.errors import Conflict, NotAcceptable
from machines.models import Event, MachineConflict
from machines.tests.factories import MachineConflictFactory, address_of, mac_of
from scheduling.models import AssignedRole, Assignment, Waiting
from scheduling.roles import PROFILE_CONTROL_PLANE, PROFILE_NODE, RoleName, is_possible, profile_of
from scheduling.services import assign_roles, release_machine, set_values
from scheduling.tests.factories import WaitingFactory, make_machine

pytestmark = pytest.mark.django_db
ETCD, PLANE, NODE = "etcd-member", "kubernetes-control-plane", "kubernetes-node"


def held(machine):
    return list(
        AssignedRole.objects.filter(assignment__machine=machine).values_list("role", flat=True)
    )


def test_roles_stack_in_the_order_they_are_given(cluster):
    machine = make_machine(1)
    assert assign_roles(machine=machine, roles=[PLANE], actor="ada").profile == ""
    assert assign_roles(machine=machine, roles=[ETCD], actor="ada").profile == PROFILE_CONTROL_PLANE
    assert held(machine) == [PLANE, ETCD]


def test_the_same_roles_again_change_nothing(cluster, intents, committed):
    machine = make_machine(1)
    committed(assign_roles, machine=machine, roles=[ETCD, PLANE, ETCD], actor="ada")
    events, version = Event.objects.count(), Assignment.objects.get().cluster.version
    committed(assign_roles, machine=machine, roles=[PLANE, ETCD], actor="ada")
    assert held(machine) == [ETCD, PLANE]
    assert Event.objects.count() == events
    assert Assignment.objects.get().cluster.version == version
    assert intents == [cluster.pk]


def test_an_unknown_role_changes_nothing(cluster):
    machine = make_machine(1)
    with pytest.raises(NotAcceptable, match="kubernetes-master"):
        assign_roles(machine=machine, roles=[NODE, "kubernetes-master"], actor="ada")
    assert not Assignment.objects.exists()


def test_no_role_at_all_is_refused(cluster):
    with pytest.raises(NotAcceptable):
        assign_roles(machine=make_machine(1), roles=[], actor="ada")


@pytest.mark.parametrize("other", [ETCD, PLANE])
def test_a_node_holds_nothing_else(cluster, other):
    machine = make_machine(1)
    with pytest.raises(Conflict) as caught:
        assign_roles(machine=machine, roles=[NODE, other], actor="ada")
    assert caught.value.kind == "impossible_roles"
    assert not Assignment.objects.exists()
    assign_roles(machine=machine, roles=[NODE], actor="ada")
    with pytest.raises(Conflict):
        assign_roles(machine=machine, roles=[other], actor="ada")
    assert held(machine) == [NODE]
    assert Assignment.objects.get().profile == PROFILE_NODE


def test_which_sets_of_roles_make_a_profile():
    assert profile_of([PLANE, ETCD]) == PROFILE_CONTROL_PLANE
    assert profile_of([NODE]) == PROFILE_NODE
    assert profile_of([ETCD]) == profile_of([PLANE]) == profile_of([]) == ""
    assert is_possible([ETCD, PLANE])
    assert not is_possible(RoleName.values)


def test_facts_are_pinned_and_the_reason_to_wait_is_gone(cluster):
    machine = make_machine(4, fqdn="r1-srv4.dc1.x")
    WaitingFactory.create(machine=machine)
    assignment = assign_roles(machine=machine, roles=[NODE], actor="ada")
    assert (assignment.ipv4, assignment.fqdn) == (address_of(4), "r1-srv4.dc1.x")
    assert (assignment.assigned_by, assignment.pod_index) == ("ada", 0)
    assert not Waiting.objects.exists()


def test_a_conflict_does_not_forbid_the_operators_decision_and_the_event_says_so(cluster):
    machine = make_machine(1)
    MachineConflictFactory.create(machine=machine, kind="duplicate_uuid")
    assign_roles(machine=machine, roles=[NODE], actor="ada")
    event = Event.objects.get(kind="role_assigned")
    assert event.level == "warning"
    assert "one UUID from two machines" in event.message
    assert event.actor == "ada"


def test_a_boot_mac_with_a_role_gets_no_second_holder(cluster):
    assign_roles(machine=make_machine(1), roles=[NODE], actor="ada")
    twin = make_machine(2, boot_mac=mac_of(1))
    with pytest.raises(Conflict) as caught:
        assign_roles(machine=twin, roles=[NODE], actor="ada")
    assert caught.value.kind == "mac_held"
    assert Assignment.objects.count() == 1


def test_a_machine_without_address_gets_no_role(cluster):
    machine = make_machine(1, boot_interface__ipv4=None)
    with pytest.raises(Conflict, match="no usable address"):
        assign_roles(machine=machine, roles=[NODE], actor="ada")


def test_no_role_without_a_pod_network(cluster):
    changes = {"pod_network": "10.200.0.0/24", "pod_prefix": 24}
    set_values(cluster=cluster, changes=changes, actor="ada")
    assign_roles(machine=make_machine(1), roles=[NODE], actor="ada")
    with pytest.raises(Conflict) as caught:
        assign_roles(machine=make_machine(2), roles=[NODE], actor="ada")
    assert caught.value.kind == "pod_network_full"


def test_a_released_machine_has_no_role_and_waits_for_an_operator(cluster, intents, committed):
    machine = make_machine(1)
    assign_roles(machine=machine, roles=[NODE], actor="ada")
    MachineConflictFactory.create(machine=machine, kind="changed_address")
    committed(release_machine, machine=machine, actor="ada", reason="bad\nfan")
    assert not Assignment.objects.exists()
    assert not MachineConflict.objects.exists()
    assert machine.waiting.reason == "released by ada: bad fan; waits for an operator"
    assert Event.objects.get(kind="role_released").actor == "ada"
    assert intents == [cluster.pk]
    assign_roles(machine=machine, roles=[NODE], actor="ada")
    assert not Waiting.objects.exists()


def test_only_a_machine_with_a_role_is_released(cluster):
    with pytest.raises(Conflict) as caught:
        release_machine(machine=make_machine(1), actor="ada", reason="")
    assert caught.value.kind == "no_role"
