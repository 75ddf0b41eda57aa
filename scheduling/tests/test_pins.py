"""Pinned facts against reported ones."""

import pytest

from enjoliver.common.errors import Conflict
from machines.models import Event, MachineConflict
from machines.tests.factories import address_of, mac_of
from scheduling.services import (
    approve_pins,
    assign_roles,
    check_pins,
    follow_facts,
    recheck_pins,
    run_scheduler,
)
from scheduling.tests.factories import LATER, make_machine

pytestmark = pytest.mark.django_db


@pytest.fixture
def assignment(cluster):
    return assign_roles(machine=make_machine(1, fqdn="a.x"), roles=["kubernetes-node"], actor="ada")


def report(assignment, **changes):
    assignment.machine.interfaces.filter(is_boot=True).update(**changes)


def conflicts():
    return list(MachineConflict.objects.values_list("kind", "subject"))


def test_facts_that_agree_are_no_conflict(assignment):
    assert check_pins(machine=assignment.machine)
    assert conflicts() == []


@pytest.mark.parametrize(
    ("change", "subject"),
    [
        ({"ipv4": address_of(9)}, address_of(9)),
        ({"netmask": 16}, "16"),
        ({"gateway": "10.64.0.2"}, "10.64.0.2"),
        ({"fqdn": "b.x"}, "b.x"),
        ({"mac": mac_of(9)}, mac_of(9)),
    ],
)
def test_each_pinned_fact_that_changes_is_a_conflict_until_it_is_as_before(
    assignment, change, subject
):
    before = {name: getattr(assignment.machine.interfaces.get(), name) for name in change}
    report(assignment, **change)
    assert not check_pins(machine=assignment.machine)
    assert conflicts() == [("changed_address", subject)]
    report(assignment, **before)
    assert check_pins(machine=assignment.machine)
    assert conflicts() == []


def test_a_further_change_replaces_the_conflict(assignment):
    for number in (8, 9):
        report(assignment, ipv4=address_of(number))
        check_pins(machine=assignment.machine)
    assert conflicts() == [("changed_address", address_of(9))]


def test_what_is_not_reported_any_more_contradicts_nothing(assignment):
    report(assignment, fqdn=None, gateway=None)
    assert check_pins(machine=assignment.machine)


def test_approved_facts_are_pinned_and_the_conflict_ends(assignment, intents, committed):
    report(assignment, ipv4=address_of(9), fqdn="b.x")
    check_pins(machine=assignment.machine)
    changes = committed(approve_pins, assignment=assignment, actor="ada")
    assignment.refresh_from_db()
    assert (assignment.ipv4, assignment.fqdn) == (address_of(9), "b.x")
    assert conflicts() == []
    event = Event.objects.get(kind="pins_approved")
    assert event.actor == "ada"
    assert all(change in event.message for change in changes)
    assert intents == [assignment.cluster_id]


def test_approving_what_agrees_changes_nothing(assignment, intents, committed):
    assert committed(approve_pins, assignment=assignment, actor="ada") == []
    assert intents == []


def test_a_boot_mac_that_another_machine_holds_is_not_approved(assignment):
    assign_roles(machine=make_machine(2), roles=["kubernetes-node"], actor="ada")
    report(assignment, mac=mac_of(2))
    with pytest.raises(Conflict) as caught:
        approve_pins(assignment=assignment, actor="ada")
    assert caught.value.kind == "mac_held"
    assignment.refresh_from_db()
    assert assignment.boot_mac == mac_of(1)


def test_no_address_is_not_approved(assignment):
    report(assignment, ipv4=None)
    with pytest.raises(Conflict, match="no usable address"):
        approve_pins(assignment=assignment, actor="ada")


def test_a_lost_message_is_repaired_by_the_next_pass(assignment, cluster):
    report(assignment, ipv4=address_of(9))
    run_scheduler(cluster=cluster, now=LATER)
    assert conflicts() == [("changed_address", address_of(9))]
    report(assignment, ipv4=assignment.ipv4)
    run_scheduler(cluster=cluster, now=LATER)
    assert conflicts() == []


@pytest.mark.parametrize(
    "change", [{"netmask": 16}, {"gateway": "10.64.0.2"}, {"fqdn": "b.x"}, {"mac": mac_of(9)}]
)
def test_the_pass_sees_the_same_differences_as_a_single_check(assignment, cluster, change):
    report(assignment, **change)
    assert recheck_pins(cluster=cluster) == 1
    assert len(conflicts()) == 1
    assert recheck_pins(cluster=cluster) == 0


def test_what_is_missing_does_not_keep_the_pass_busy(assignment, cluster):
    report(assignment, fqdn=None, gateway=None, ipv4=None, netmask=None)
    assert recheck_pins(cluster=cluster) == 0


def test_facts_of_machines_without_role_are_followed_by_a_pass(assignment):
    assert follow_facts(machine_id=assignment.machine_id)
    assert not follow_facts(machine_id=make_machine(3).pk)
    assert not follow_facts(machine_id=0)
