"""What others do between two reads: the scheduler or an operator gets there first."""

from __future__ import annotations

import pytest

from enjoliver.common.errors import Conflict
from machines import locations
from machines.models import ConflictKind, Machine, MachineConflict
from machines.services import open_conflict
from machines.tests.factories import mac_of
from scheduling.models import Assignment, Waiting
from scheduling.roles import CONTROL_PLANE_ROLES, WaitCode
from scheduling.services import (
    approve_pins,
    assign_roles,
    claims,
    pins,
    recheck_pins,
    release_machine,
    retire_machine,
    roles,
    run_scheduler,
    scheduler,
    set_requirements,
)
from scheduling.tests.factories import LATER, make_fleet, make_machine

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def before_the_lock(monkeypatch):
    """Do something once, right before the next lock of a cluster is taken."""

    def arrange(act):
        lock = claims.lock_cluster

        def act_and_lock(cluster_id):
            monkeypatch.setattr(roles, "lock_cluster", lock)
            act()
            return lock(cluster_id)

        monkeypatch.setattr(roles, "lock_cluster", act_and_lock)

    return arrange


def test_a_machine_that_got_a_role_meanwhile_is_retired_with_it(cluster, before_the_lock):
    machine = make_machine(1)
    before_the_lock(lambda: assign_roles(machine=machine, roles=["kubernetes-node"], actor="bob"))
    assert retire_machine(machine=machine, actor="ada", reason="sold")
    assert not Assignment.objects.exists()
    assert Waiting.objects.get().code == WaitCode.RETIRED
    run_scheduler(cluster=cluster, now=LATER)
    assert Waiting.objects.get().code == WaitCode.RETIRED


def test_one_that_joined_the_control_plane_meanwhile_is_not_retired(cluster, before_the_lock):
    machine = make_machine(1)
    before_the_lock(lambda: assign_roles(machine=machine, roles=CONTROL_PLANE_ROLES, actor="bob"))
    with pytest.raises(Conflict, match="member of the control plane"):
        retire_machine(machine=machine, actor="ada", reason="sold")
    assert not Waiting.objects.exists()


def test_one_that_lost_its_role_meanwhile_is_retired(cluster, before_the_lock):
    machine = make_machine(1)
    assign_roles(machine=machine, roles=["kubernetes-node"], actor="bob")
    before_the_lock(lambda: release_machine(machine=machine, actor="bob", reason="later"))
    assert retire_machine(machine=machine, actor="ada", reason="sold")
    assert Waiting.objects.get().code == WaitCode.RETIRED


@pytest.mark.parametrize("count", [None, 9])
def test_a_role_holder_that_vanishes_while_the_plan_is_made_stops_no_pass(
    cluster, monkeypatch, count
):
    set_requirements(cluster=cluster, role="node", actor="ada", count=count)
    make_fleet(4)
    run_scheduler(cluster=cluster, now=LATER)
    make_machine(9)
    read = locations.locations_of

    def vanish_and_read(machine_ids):
        monkeypatch.setattr(scheduler, "locations_of", read)
        member = Machine.objects.get(boot_mac=mac_of(1))
        release_machine(machine=member, actor="ada", reason="sold")
        member.delete()
        return read(machine_ids)

    monkeypatch.setattr(scheduler, "locations_of", vanish_and_read)
    run_scheduler(cluster=cluster, now=LATER)
    assert Assignment.objects.filter(machine__boot_mac=mac_of(9)).exists()


def test_pins_of_a_machine_that_vanishes_stop_no_pass(cluster, monkeypatch):
    for number in (1, 2):
        machine = make_machine(number)
        assign_roles(machine=machine, roles=["kubernetes-node"], actor="ada")
        machine.interfaces.update(ipv4=f"10.64.9.{number}")
    opened = open_conflict

    def vanish_and_open(*, machine, **arguments):
        if machine.boot_mac == mac_of(1):
            release_machine(machine=machine, actor="ada", reason="sold")
            Machine.objects.filter(pk=machine.pk).delete()
        return opened(machine=machine, **arguments)

    monkeypatch.setattr(pins, "open_conflict", vanish_and_open)
    recheck_pins(cluster=cluster)
    conflict = MachineConflict.objects.get()
    assert (conflict.kind, conflict.machine.boot_mac) == (
        ConflictKind.CHANGED_ADDRESS,
        mac_of(2),
    )


def test_pins_of_a_machine_that_was_released_are_not_approved(cluster):
    machine = make_machine(1)
    assignment = assign_roles(machine=machine, roles=["kubernetes-node"], actor="ada")
    machine.interfaces.update(ipv4="10.64.9.9")
    Assignment.objects.filter(pk=assignment.pk).delete()
    with pytest.raises(Conflict, match="released at the same moment"):
        approve_pins(assignment=assignment, actor="ada")
