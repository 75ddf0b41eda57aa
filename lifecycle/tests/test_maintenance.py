"""Machines that somebody works on."""

from datetime import timedelta

import pytest

from enjoliver.common.errors import InvalidInput
from lifecycle.models import Maintenance, Slot
from lifecycle.services import (
    end_expired_maintenance,
    end_maintenance,
    maintenance_machine_ids,
    maintenance_refusal,
    start_maintenance,
)
from lifecycle.tests.factories import NOON, SlotFactory
from machines.models import Event
from machines.tests.factories import MachineFactory

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


def begin(machine, reason="a new disk", now=NOON, until_at=None):
    return start_maintenance(
        machine=machine, actor="ada", reason=reason, until_at=until_at, now=now
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
