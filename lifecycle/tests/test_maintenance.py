"""Machines that somebody works on."""

from datetime import timedelta

import pytest

from enjoliver.common.errors import Conflict, InvalidInput
from lifecycle.models import IgnitionReport, Maintenance, Slot
from lifecycle.services import (
    end_expired_maintenance,
    end_maintenance,
    maintenance_machine_ids,
    maintenance_refusal,
    read_leave,
    start_maintenance,
)
from lifecycle.tasks import look_after_machines
from lifecycle.tests.factories import NOON, SlotFactory, StrategyFactory
from machines.models import Event, Machine
from machines.services import record_event, request_reinstall
from machines.tests.factories import MachineFactory
from scheduling.models import Waiting
from scheduling.roles import PROFILE_CONTROL_PLANE, WaitCode
from scheduling.services import default_cluster, run_scheduler, update_cluster
from scheduling.tests.factories import LATER, AssignmentFactory, make_machine

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


def begin(machine, reason="a new disk", now=NOON, until_at=None, is_forced=False):
    return start_maintenance(
        machine=machine,
        actor="ada",
        reason=reason,
        until_at=until_at,
        is_forced=is_forced,
        now=now,
    )


def test_a_machine_is_in_maintenance_until_somebody_ends_it():
    machine, other = MachineFactory.create_batch(2)
    begin(machine)
    assert maintenance_machine_ids() == {machine.pk}
    assert maintenance_machine_ids([machine.pk, other.pk]) == {machine.pk}
    assert maintenance_machine_ids([other.pk]) == set()
    assert maintenance_refusal(machine) == "in maintenance by ada: a new disk"
    assert maintenance_refusal(other) is None
    assert end_maintenance(machine=machine, actor="bob")
    assert not end_maintenance(machine=machine, actor="bob")
    assert maintenance_machine_ids() == set()
    kinds = Event.objects.filter(machine=machine).values_list("kind", "actor")
    assert set(kinds) == {("maintenance_on", "ada"), ("maintenance_off", "bob")}


def test_a_reason_is_needed_and_a_time_to_come():
    machine = MachineFactory.create()
    with pytest.raises(InvalidInput):
        begin(machine, reason="  ")
    with pytest.raises(InvalidInput):
        begin(machine, until_at=NOON)
    assert not Maintenance.objects.exists()


def test_said_again_the_new_reason_and_time_count_and_the_start_stays():
    machine = MachineFactory.create()
    begin(machine)
    again = begin(machine, reason="two disks", until_at=NOON + 2 * HOUR, now=NOON + HOUR)
    assert (again.reason, again.until_at) == ("two disks", NOON + 2 * HOUR)
    assert again.started_at == NOON


def test_its_time_ends_it_also_before_anybody_looked():
    machine = MachineFactory.create()
    begin(machine, until_at=NOON + HOUR)
    assert maintenance_machine_ids(now=NOON + HOUR - timedelta(seconds=1)) == {machine.pk}
    assert maintenance_machine_ids(now=NOON + HOUR) == set()
    assert end_expired_maintenance(now=NOON) == 0
    assert end_expired_maintenance(now=NOON + HOUR) == 1
    assert end_expired_maintenance(now=NOON + HOUR) == 0
    assert "its time was over" in Event.objects.get(kind="maintenance_off").message


def test_the_slot_of_a_machine_in_maintenance_stays_held():
    machine = MachineFactory.create()
    SlotFactory.create(machine=machine)
    begin(machine)
    assert Slot.objects.filter(machine=machine).exists()


def test_who_is_in_maintenance_costs_one_query(django_assert_num_queries):
    machines = MachineFactory.create_batch(3)
    begin(machines[0])
    with django_assert_num_queries(1):
        maintenance_machine_ids([machine.pk for machine in machines])


def member(number, reported_at=NOON):
    machine = make_machine(number, running=True)
    AssignmentFactory.create(machine=machine, profile=PROFILE_CONTROL_PLANE)
    IgnitionReport.objects.create(
        machine=machine, is_up_to_date=True, reported_at=reported_at, created_at=NOON
    )
    return machine


def test_a_second_member_of_three_needs_force_unless_it_is_away_already():
    default_cluster()
    first, second, third = member(1), member(2), member(3)
    begin(first)
    with pytest.raises(Conflict, match="1 of 3 members of the control plane would be left"):
        begin(second)
    begin(second, is_forced=True)
    IgnitionReport.objects.filter(machine=third).update(reported_at=NOON - HOUR)
    begin(third)
    assert len(maintenance_machine_ids()) == 3


def test_it_gets_no_leave_no_role_and_raises_no_alert():
    update_cluster(cluster=default_cluster(), actor="test", control_plane_size=1)
    machine = make_machine(1)
    StrategyFactory.create(machine=machine)
    begin(machine)
    leave = read_leave(machine=machine)
    assert leave is not None
    assert (leave.strategy, leave.refusal) == (None, "in maintenance by ada: a new disk")
    run_scheduler(cluster=default_cluster(), now=LATER)
    waiting = Waiting.objects.get()
    assert (waiting.code, waiting.reason) == (WaitCode.HELD, "in maintenance by ada: a new disk")
    assert record_event(kind="x", message="x", machine=machine, level="error").level == "info"


def test_a_reinstall_of_an_installed_member_must_be_forced():
    default_cluster()
    machine = member(1)
    with pytest.raises(Conflict, match="etcd data would be lost"):
        request_reinstall(machine=machine, actor="ada", reason="x")
    request_reinstall(machine=machine, actor="ada", reason="x", is_forced=True)
    assert Machine.objects.get().reinstall_requested_at is not None


def test_beat_ends_what_is_over():
    begin(MachineFactory.create(), until_at=NOON + HOUR)
    look_after_machines()
    assert not Maintenance.objects.exists()
