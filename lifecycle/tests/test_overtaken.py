"""Machines in maintenance, health gates, retired machines and words of agents: what others do
between two reads, and what one that fails must not stop."""

from datetime import timedelta

import pytest
from django.db import transaction

from enjoliver.common.errors import Conflict, UnknownMachine
from lifecycle import services, tasks
from lifecycle.health import Result
from lifecycle.models import HealthGate, HealthGateState, Maintenance, RollingPolicy, Slot
from lifecycle.progress import Said
from lifecycle.services import (
    check_due_gates,
    check_gates_now,
    end_expired_maintenance,
    ensure_rollouts,
    healthchecks,
    maintenance,
    record_progress,
    release_slot,
    retire_machine,
    retiring,
    set_health_gate,
    start_maintenance,
)
from lifecycle.services.progress import EVENT_KIND, EVENTS_AN_HOUR
from lifecycle.tests.factories import NOON, SlotFactory
from lifecycle.tests.rollouts.world import World
from machines.models import Event, Machine
from machines.services import record_event
from machines.tests.factories import EPOCH, MachineFactory
from scheduling.models import Waiting
from scheduling.roles import WaitCode

pytestmark = pytest.mark.django_db
committing = pytest.mark.django_db(transaction=True)
HOUR = timedelta(hours=1)


def begin(machine, **arguments):
    return start_maintenance(machine=machine, actor="ada", reason="disk", now=NOON, **arguments)


class TestMaintenance:
    @committing
    def test_that_is_ended_as_it_begins_is_no_fault(self, monkeypatch):
        machine = MachineFactory.create()
        record = record_event

        def record_and_end(**arguments):
            monkeypatch.setattr(maintenance, "record_event", record)
            transaction.on_commit(Maintenance.objects.all().delete)
            return record(**arguments)

        monkeypatch.setattr(maintenance, "record_event", record_and_end)
        assert begin(machine).reason == "disk"
        assert not Maintenance.objects.exists()

    @committing
    def test_that_cannot_be_ended_stops_no_other(self, monkeypatch):
        for machine in MachineFactory.create_batch(3):
            begin(machine, until_at=NOON + HOUR)
        record, seen = record_event, []

        def fail_once(**arguments):
            seen.append(arguments)
            if len(seen) == 2:
                raise RuntimeError("as if its row were broken")
            return record(**arguments)

        monkeypatch.setattr(maintenance, "record_event", fail_once)
        with pytest.raises(RuntimeError):
            end_expired_maintenance(now=NOON + HOUR)
        assert Maintenance.objects.count() == 1

    def test_ends_also_while_replacements_fail(self, monkeypatch):
        done = []

        def fail():
            raise RuntimeError("as if a replacement were broken")

        monkeypatch.setattr(services, "advance_replacements", fail)
        monkeypatch.setattr(services, "end_expired_maintenance", lambda: done.append(1))
        with pytest.raises(RuntimeError):
            tasks.look_after_machines()
        assert done == [1]


class TestHealthGates:
    @pytest.fixture
    def gates(self, monkeypatch):
        """Two gates of a policy with a rollout, which answer by themselves."""
        world = World(workers=1)
        document = {"kind": "http", "config": {"url": "http://127.0.0.1:1"}, "healthy_after": 1}
        world.policy(health_gates=[document | {"name": name} for name in "ab"])
        world.new_revision()
        ensure_rollouts(cluster=world.cluster, now=world.now)
        good = Result(True, "all is well")
        monkeypatch.setattr(healthchecks, "check_health", lambda *arguments: good)
        return world

    def healthy(self):
        return sorted(
            HealthGateState.objects.filter(state="healthy").values_list("gate__name", flat=True)
        )

    @pytest.mark.parametrize("moment", ["_ask", "_store", "_claim"])
    def test_one_that_cannot_be_checked_stops_no_other(self, gates, monkeypatch, moment):
        real = getattr(healthchecks, moment)

        def fail_for_a(first, *arguments, **keywords):
            gate = first if isinstance(first, HealthGate) else first.gate
            if gate.name == "a":
                raise RuntimeError("as if its row were broken")
            return real(first, *arguments, **keywords)

        monkeypatch.setattr(healthchecks, moment, fail_for_a)
        with pytest.raises(RuntimeError):
            check_due_gates(now=gates.now)
        assert self.healthy() == ["b"]

    def test_one_that_goes_while_it_is_checked_stops_no_other(self, gates, monkeypatch):
        store = healthchecks._store

        def lose_and_store(claim, *arguments):
            HealthGate.objects.filter(name="a").delete()
            return store(claim, *arguments)

        monkeypatch.setattr(healthchecks, "_store", lose_and_store)
        found = check_due_gates(now=gates.now)
        assert sorted((one.gate.name, one.health is None) for one in found) == [
            ("a", True),
            ("b", False),
        ]

    @committing
    def test_one_whose_policy_went_is_not_asked(self, gates):
        held = list(HealthGate.objects.all())
        RollingPolicy.objects.all().delete()
        assert check_gates_now(held, now=gates.now) == []

    @committing
    def test_one_that_was_removed_meanwhile_does_not_come_back_by_a_change(self, gates):
        gate = HealthGate.objects.get(name="a")
        HealthGate.objects.filter(pk=gate.pk).delete()
        with pytest.raises(Conflict, match="removed"):
            set_health_gate(
                policy=gate.policy, document={"timeout_seconds": 3}, actor="ada", gate=gate
            )
        assert not HealthGate.objects.filter(name="a").exists()


@committing
class TestAMachineThatIsForgottenMeanwhile:
    @pytest.fixture
    def gone(self):
        machine = MachineFactory.create()
        Machine.objects.filter(pk=machine.pk).delete()
        return machine

    def test_is_not_retired(self, gone):
        with pytest.raises(UnknownMachine):
            retire_machine(machine=gone, actor="ada", reason="sold")


def test_a_machine_is_retired_at_the_time_that_it_is_told():
    machine = MachineFactory.create(installed_at=EPOCH)
    retire_machine(machine=machine, actor="ada", reason="sold", now=NOON)
    machine.refresh_from_db()
    assert machine.reinstall_requested_at == NOON


def test_a_slot_that_is_given_back_as_its_machine_is_retired_stops_nothing(monkeypatch):
    machine = MachineFactory.create()
    SlotFactory.create(machine=machine)

    def free_and_release(**arguments):
        Slot.objects.all().delete()
        return release_slot(**arguments)

    monkeypatch.setattr(retiring, "release_slot", free_and_release)
    assert retire_machine(machine=machine, actor="ada", reason="sold")
    assert Waiting.objects.get().code == WaitCode.RETIRED


def test_words_of_an_agent_are_told_also_after_the_clock_stepped_back():
    machine = MachineFactory.create()
    for _ in range(EVENTS_AN_HOUR):
        record_event(kind=EVENT_KIND, message="before", machine=machine)
    now = Event.objects.latest("at").at - timedelta(days=3)
    record_progress(machine=machine, said=Said("report", "outdated", "drains"), now=now)
    assert Event.objects.filter(kind=EVENT_KIND).count() == EVENTS_AN_HOUR + 1
