"""Moves between states, and boots."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from enjoliver.common.rawquery import parse_raw_query
from machines.models import Event, Machine, MachineConflict, StateChange, UnknownBoot
from machines.services import boots, record_boot, transition_machine
from machines.states import MEANINGS, TRANSITIONS, State, can_move
from machines.tests.factories import MachineFactory, UnknownBootFactory, mac_of, uuid_of

pytestmark = pytest.mark.django_db


def query(number: int):
    mac = mac_of(number).replace(":", "-")
    return parse_raw_query(f"uuid={uuid_of(number)}&mac={mac}")


def query_of(machine: Machine):
    return parse_raw_query(f"uuid={machine.uuid}&mac={machine.boot_mac}")


def test_every_state_has_its_row_and_its_meaning():
    assert set(TRANSITIONS) == set(MEANINGS) == set(State)
    assert all(state in ends for state, ends in TRANSITIONS.items())


def test_every_state_may_start_again():
    assert all(can_move(state, State.BOOTING) for state in State)
    assert all(can_move(state, State.DISCOVERY) for state in State)


def test_a_move_leaves_a_row_that_says_who_and_why():
    machine = MachineFactory.create()
    assert transition_machine(
        machine=machine, to=State.INSTALL_GRANTED, reason="gate\nopen", by="engine"
    )
    row = StateChange.objects.get()
    assert (row.from_state, row.to_state) == ("discovery", "os_installation_granted")
    assert (row.reason, row.by) == ("gate open", "engine")
    machine.refresh_from_db()
    assert (machine.state, machine.state_at) == (State.INSTALL_GRANTED, row.at)


def test_staying_is_true_and_writes_nothing(django_assert_num_queries):
    machine = MachineFactory.create()
    with django_assert_num_queries(0):
        assert transition_machine(machine=machine, to=State.DISCOVERY)
    assert not StateChange.objects.exists()


def test_a_late_install_report_does_not_take_a_running_machine_back():
    machine = MachineFactory.create(running=True)
    assert not transition_machine(machine=machine, to=State.INSTALL_SUCCEEDED)
    machine.refresh_from_db()
    assert machine.state == State.RUNNING
    assert not StateChange.objects.exists()


def test_a_move_loses_to_the_first_writer():
    machine = MachineFactory.create()
    Machine.objects.filter(pk=machine.pk).update(state=State.BOOTING)
    assert not transition_machine(machine=machine, to=State.INSTALL_GRANTED)
    assert machine.state == State.BOOTING
    assert not StateChange.objects.exists()


def test_a_known_machine_that_boots_costs_one_look_up_one_update_one_row(
    django_assert_max_num_queries,
):
    machine = MachineFactory.create()
    with django_assert_max_num_queries(5):  # two of them a savepoint in this test
        record_boot(query=query_of(machine))
    machine.refresh_from_db()
    assert machine.state == State.BOOTING
    assert StateChange.objects.count() == 1


def test_a_boot_seen_a_moment_ago_writes_nothing(django_assert_num_queries, monkeypatch):
    monkeypatch.setattr(boots, "SAME_BOOT", timedelta(hours=1))
    machine = MachineFactory.create(state=State.BOOTING, state_at=timezone.now())
    with django_assert_num_queries(1):
        record_boot(query=query_of(machine))


def test_a_later_boot_moves_only_the_time():
    before = timezone.now() - timedelta(minutes=1)
    machine = MachineFactory.create(state=State.BOOTING, state_at=before)
    record_boot(query=query_of(machine))
    machine.refresh_from_db()
    assert machine.state_at > before
    assert not StateChange.objects.exists()


def test_a_time_in_the_future_is_put_right_when_the_clock_stepped_back():
    ahead = timezone.now() + timedelta(days=1)
    machine = MachineFactory.create(state=State.BOOTING, state_at=ahead)
    record_boot(query=query_of(machine))
    machine.refresh_from_db()
    assert machine.state_at < ahead


def test_a_boot_with_another_uuid_changes_no_state_and_is_seen():
    machine = MachineFactory.create()
    record_boot(query=parse_raw_query(f"uuid={uuid_of(999)}&mac={machine.boot_mac}"))
    machine.refresh_from_db()
    assert machine.state == State.DISCOVERY
    assert MachineConflict.objects.get().kind == "query_mismatch"
    assert not UnknownBoot.objects.exists()


def test_an_unknown_mac_is_counted():
    for _ in range(3):
        record_boot(query=query(5))
    row = UnknownBoot.objects.get()
    assert (row.mac, row.count) == (mac_of(5), 3)
    assert not Machine.objects.exists()


def test_unknown_macs_are_bounded_and_the_oldest_go(monkeypatch):
    monkeypatch.setattr(boots, "MAX_UNKNOWN_BOOTS", 3)
    old = UnknownBootFactory.create_batch(3)
    for number in range(2):
        record_boot(query=query(number))
    assert set(UnknownBoot.objects.values_list("mac", flat=True)) == {
        mac_of(0),
        mac_of(1),
        old[2].mac,
    }


def test_no_event_is_written_for_boots():
    record_boot(query=query(5))
    assert not Event.objects.exists()
