"""Events, labels, installs and pruning."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from enjoliver.common.errors import InvalidInput
from machines.models import Event, Machine, MachineConflict, StateChange, UnknownBoot
from machines.services import (
    mark_installed,
    prune_history,
    record_event,
    request_reinstall,
    set_labels,
)
from machines.services.operations import check_labels
from machines.tests.factories import (
    EPOCH,
    EventFactory,
    MachineConflictFactory,
    MachineFactory,
    StateChangeFactory,
    UnknownBootFactory,
)

pytestmark = pytest.mark.django_db


def test_an_event_is_one_line_and_fits():
    event = record_event(kind="k" * 99, message="a\0b\n" + "x" * 900, actor="y" * 200)
    assert len(event.kind) == 48
    assert len(event.actor) == 150
    assert len(event.message) == 500
    assert event.message.startswith("a b x")
    assert event.message.endswith("…")


def test_a_counting_report_marks_the_machine_installed_and_ends_the_reinstall():
    machine = MachineFactory.create(reinstall_requested_at=EPOCH)
    assert mark_installed(machine=machine, at=EPOCH + timedelta(hours=1))
    machine.refresh_from_db()
    assert machine.installed_at == EPOCH + timedelta(hours=1)
    assert machine.reinstall_requested_at is None


@pytest.mark.parametrize(("hours", "is_marked"), [(1, True), (3, False)])
def test_a_reinstall_asked_for_during_the_install_is_not_forgotten(hours, is_marked):
    machine = MachineFactory.create(reinstall_requested_at=EPOCH + timedelta(hours=hours))
    started_at = EPOCH + timedelta(hours=2)
    at = EPOCH + timedelta(hours=4)
    assert mark_installed(machine=machine, at=at, started_at=started_at) is is_marked
    machine.refresh_from_db()
    assert (machine.installed_at is not None) is is_marked


def test_a_reinstall_request_clears_installed_and_says_who():
    machine = MachineFactory.create(running=True)
    request_reinstall(machine=machine, actor="ada", reason="new disk")
    machine.refresh_from_db()
    assert machine.installed_at is None
    assert machine.reinstall_requested_at is not None
    event = Event.objects.get()
    assert (event.actor, "new disk" in event.message) == ("ada", True)


def test_labels_are_replaced_once():
    machine = MachineFactory.create()
    assert set_labels(machine=machine, labels={"rack": "3", "a": "b"}, actor="ada")
    assert not set_labels(machine=machine, labels={"a": "b", "rack": "3"}, actor="ada")
    machine.refresh_from_db()
    assert machine.labels == {"rack": "3", "a": "b"}
    assert Event.objects.get().message == "Labels set: a=b, rack=3"


@pytest.mark.parametrize(
    "labels",
    [
        {"": "x"},
        {"a b": "x"},
        {"-a": "x"},
        {"x" * 64: "x"},
        {"a": 1},
        {"a": None},
        {"a": "x" * 129},
        {"a": "x\0"},
        {1: "x"},
        {str(n): "x" for n in range(65)},
        ["a"],
    ],
)
def test_labels_that_cannot_be_taken_change_nothing(labels):
    machine = MachineFactory.create(labels={"keep": "1"})
    with pytest.raises(InvalidInput) as caught:
        set_labels(machine=machine, labels=labels, actor="ada")
    assert caught.value.fields
    machine.refresh_from_db()
    assert machine.labels == {"keep": "1"}


@given(st.dictionaries(st.text(max_size=70), st.text(max_size=140) | st.integers()))
def test_labels_are_checked_without_a_crash(labels):
    check_labels(labels)


def test_old_history_goes_and_the_rest_stays(monkeypatch):
    monkeypatch.setattr("machines.services.history.PRUNE_BATCH", 2)
    now = timezone.now()
    machine = MachineFactory.create()
    EventFactory.create_batch(5)
    EventFactory.create(at=now)
    StateChangeFactory.create_batch(3, machine=machine)
    StateChangeFactory.create(machine=machine, at=now)
    UnknownBootFactory.create()
    UnknownBootFactory.create(last_at=now)
    MachineConflictFactory.create(machine=machine, kind="query_mismatch")
    MachineConflictFactory.create(machine=machine, kind="query_mismatch", seen_at=now)
    MachineConflictFactory.create(machine=machine, kind="shared_mac")
    assert prune_history(before=now - timedelta(days=1)) == 10
    assert Event.objects.count() == StateChange.objects.count() == 1
    assert UnknownBoot.objects.count() == 1
    assert MachineConflict.objects.count() == 2
    assert Machine.objects.count() == 1
