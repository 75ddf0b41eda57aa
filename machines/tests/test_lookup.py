"""Who asks: by any MAC, with the UUID when it is given."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from enjoliver.common.errors import IdentityConflict, UnknownMachine
from enjoliver.common.rawquery import parse_raw_query
from machines.lookup import find_machine
from machines.models import Event, Machine, MachineConflict
from machines.tests.factories import EPOCH, InterfaceFactory, MachineFactory, mac_of, uuid_of

pytestmark = pytest.mark.django_db


def find(mac: str, uuid: str = "") -> Machine:
    return find_machine(parse_raw_query(f"uuid={uuid}&mac={mac}&os=installed"))


def test_a_machine_is_found_by_any_of_its_macs_in_one_look_up(django_assert_num_queries):
    machine = MachineFactory.create()
    further = InterfaceFactory.create(machine=machine)
    InterfaceFactory.create(machine=machine, mac=further.mac, name="bond0")
    with django_assert_num_queries(1):
        assert find(further.mac.upper().replace(":", "-"), machine.uuid.upper()) == machine


def test_an_unknown_mac_is_an_unknown_machine():
    with pytest.raises(UnknownMachine):
        find(mac_of(1), uuid_of(1))


def test_with_the_uuid_that_machine_is_meant():
    first, second = MachineFactory.create_batch(2)
    shared = InterfaceFactory.create(machine=first).mac
    InterfaceFactory.create(machine=second, mac=shared)
    assert find(shared, first.uuid) == first
    assert find(shared, second.uuid) == second


def test_without_uuid_the_installed_one_comes_first_then_the_newest_report():
    old = MachineFactory.create(updated_at=EPOCH)
    new = MachineFactory.create(updated_at=EPOCH + timedelta(hours=1))
    shared = InterfaceFactory.create(machine=old).mac
    InterfaceFactory.create(machine=new, mac=shared)
    assert find(shared) == new
    Machine.objects.filter(pk=old.pk).update(installed_at=EPOCH)
    assert find(shared) == old


def test_another_uuid_is_a_conflict_that_the_operator_sees_once():
    machine = MachineFactory.create()
    for number in range(3):
        with pytest.raises(IdentityConflict):
            find(machine.boot_mac, uuid_of(1000 + number))
    conflict = MachineConflict.objects.get()
    assert (conflict.machine, conflict.kind) == (machine, "query_mismatch")
    assert conflict.subject == machine.boot_mac
    assert Event.objects.get().kind == "identity_conflict"
    machine.refresh_from_db()
    assert machine.state == "discovery"


def test_a_repeated_mismatch_costs_two_reads_and_no_write(django_assert_num_queries):
    machine = MachineFactory.create()
    with pytest.raises(IdentityConflict):
        find(machine.boot_mac, uuid_of(1000))
    with django_assert_num_queries(2), pytest.raises(IdentityConflict):
        find(machine.boot_mac, uuid_of(1001))


@pytest.mark.parametrize("minutes", [-2, 60])
def test_after_a_minute_or_a_clock_step_it_is_told_again(minutes):
    machine = MachineFactory.create()
    with pytest.raises(IdentityConflict):
        find(machine.boot_mac, uuid_of(1000))
    MachineConflict.objects.update(seen_at=timezone.now() + timedelta(minutes=minutes))
    with pytest.raises(IdentityConflict):
        find(machine.boot_mac, uuid_of(1001))
    assert Event.objects.count() == 2
    assert uuid_of(1001) in MachineConflict.objects.get().detail
