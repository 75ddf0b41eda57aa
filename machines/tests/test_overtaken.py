"""What others do between two reads: a machine is forgotten, or moves, while a service is at it."""

import pytest
from django.db.models.signals import post_delete

from enjoliver.common.errors import Conflict, UnknownMachine
from enjoliver.common.rawquery import parse_raw_query
from machines import matching
from machines.discovery import parse_report
from machines.models import Event, Interface, Machine, MachineConflict, UnknownBoot
from machines.services import (
    boots,
    conflicts,
    forget_machine,
    journals,
    recheck_conflicts,
    record_boot,
    record_discovery,
    record_event,
    record_query_mismatch,
    recording,
    request_reinstall,
)
from machines.states import State
from machines.tests.factories import EPOCH, MachineFactory, document, mac_of, uuid_of

pytestmark = pytest.mark.django_db(transaction=True)


def forget_all():
    Machine.objects.all().delete()


def query(number=1, uuid=None):
    return parse_raw_query(f"mac={mac_of(number)}" + (f"&uuid={uuid}" if uuid else ""))


class TestAMachineIsForgottenMeanwhile:
    def test_its_boot_is_that_of_an_unknown_one(self, monkeypatch):
        MachineFactory.create(number=1, state=State.RUNNING)
        match = matching.match_query

        def match_and_forget(asked):
            found = match(asked)
            forget_all()
            return found

        monkeypatch.setattr(boots, "match_query", match_and_forget)
        record_boot(query=query())
        assert UnknownBoot.objects.get().mac == mac_of(1)

    def test_a_query_with_another_uuid_is_no_fault(self):
        machine = MachineFactory.create(number=1)
        forget_all()
        record_query_mismatch(machine=machine, query=query(uuid=uuid_of(9)))
        assert not MachineConflict.objects.exists()

    @pytest.mark.parametrize("state", [State.DISCOVERY, State.RUNNING])
    def test_its_report_makes_it_anew(self, monkeypatch, state):
        report = parse_report(document(1))
        machine = record_discovery(report=report).machine
        Machine.objects.filter(pk=machine.pk).update(state=state)
        store = journals.store_journal

        def forget_and_store(**arguments):
            monkeypatch.setattr(recording, "store_journal", store)
            forget_all()
            return store(**arguments)

        monkeypatch.setattr(recording, "store_journal", forget_and_store)
        found = record_discovery(report=report)
        assert Machine.objects.get() == found.machine

    def test_nobody_can_ask_it_to_install_again(self):
        machine = MachineFactory.create()
        forget_all()
        with pytest.raises(UnknownMachine):
            request_reinstall(machine=machine, actor="ada", reason="old")
        assert not Event.objects.exists()


class TestItWritesWhileItIsForgotten:
    """A machine that is switched on still talks: what it writes comes between the two looks at
    what belongs to it."""

    @pytest.fixture
    def talks(self):
        """How often it gets something written while it is being forgotten."""
        left: list[int] = []

        def write(sender, instance, **kwargs):
            if left:
                left.pop()
                record_event(kind="agent", message="still here", machine=instance)

        post_delete.connect(write, sender=Machine)
        yield left
        post_delete.disconnect(write, sender=Machine)

    def test_it_is_forgotten_at_the_next_try(self, talks):
        machine = MachineFactory.create(number=1)
        talks.append(1)
        forget_machine(machine=machine, actor="ada", reason="sold")
        assert not Machine.objects.exists()
        assert Event.objects.get().kind == "machine_forgotten"

    def test_one_that_never_stops_is_told_to_the_operator(self, talks):
        machine = MachineFactory.create(number=1)
        talks += range(99)
        with pytest.raises(Conflict, match="still talks"):
            forget_machine(machine=machine, actor="ada", reason="sold")
        assert Machine.objects.get() == machine


def test_one_that_was_forgotten_twice_is_gone_and_no_fault():
    machine = MachineFactory.create(number=1)
    forget_machine(machine=machine, actor="ada", reason="sold")
    with pytest.raises(UnknownMachine):
        forget_machine(machine=machine, actor="bob", reason="sold")
    assert Event.objects.filter(kind="machine_forgotten").count() == 1


@pytest.mark.parametrize("is_other_gone", [False, True])
def test_a_conflict_that_ends_while_all_are_derived_again_is_none(monkeypatch, is_other_gone):
    machines = MachineFactory.create_batch(2)
    Interface.objects.update(ipv4="10.64.0.9")
    holders, calls = conflicts._holders, []

    def holders_and_move():
        calls.append(1)
        if len(calls) == 2:  # between finding what is contended and who holds it
            machines[0].interfaces.update(ipv4="10.64.0.10")
            if is_other_gone:
                forget_all()
        return holders()

    monkeypatch.setattr(conflicts, "_holders", holders_and_move)
    recheck_conflicts()
    assert len(calls) == 2
    assert not MachineConflict.objects.exists()


class TestAnotherMachineIsStoredMeanwhile:
    """It brings conflicts of both with it, which whoever looked before it came must not close."""

    def between(self, monkeypatch, name, *, call):
        """Store the twin of machine 1 once, after the given call of a function of conflicts."""
        looked, calls = getattr(conflicts, name), []

        def look_and_store(*arguments):
            found = looked(*arguments)
            calls.append(name)
            if len(calls) == call:
                twin = document(2)
                twin["boot-info"]["uuid"] = uuid_of(1)
                record_discovery(report=parse_report(twin))
            return found

        monkeypatch.setattr(conflicts, name, look_and_store)

    def assert_both_in_conflict(self):
        assert MachineConflict.objects.filter(kind="duplicate_uuid").count() == 2
        assert not Event.objects.filter(kind="conflict_closed").exists()

    @pytest.mark.parametrize("call", [1, 2], ids=["before_its_commit", "after_its_commit"])
    def test_a_report_keeps_them(self, monkeypatch, call):
        self.between(monkeypatch, "_spans", call=call)
        record_discovery(report=parse_report(document(1)))
        self.assert_both_in_conflict()

    def test_the_recheck_of_all_keeps_them(self, monkeypatch):
        record_discovery(report=parse_report(document(1)))
        self.between(monkeypatch, "_holders", call=2)
        recheck_conflicts()
        self.assert_both_in_conflict()


def test_a_reinstall_is_asked_for_at_the_time_that_it_is_told():
    machine = MachineFactory.create(installed_at=EPOCH)
    request_reinstall(machine=machine, actor="ada", reason="old", now=EPOCH)
    assert machine.reinstall_requested_at == EPOCH
    machine.refresh_from_db()
    assert (machine.installed_at, machine.reinstall_requested_at) == (None, EPOCH)
