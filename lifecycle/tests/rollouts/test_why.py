"""Why is nothing happening: always one sentence, and the right one."""

from datetime import timedelta

import pytest

from lifecycle.models import InstallGate, InstallWaiter, Rollout, StrategyName
from lifecycle.services import (
    add_freeze,
    disable_strategy,
    pause_rollout,
    set_strategy,
    start_maintenance,
)
from lifecycle.tests.rollouts.world import World
from lifecycle.why import why_machine, why_rollout
from machines.models import Machine
from machines.tests.factories import MachineFactory
from matchbox_sync.models import PendingChange
from scheduling.models import Assignment

pytestmark = pytest.mark.django_db


@pytest.fixture
def world():
    return World(workers=3)


def about(world, machine):
    return why_machine(Machine.objects.get(pk=machine.pk), now=world.now).sentence


def roll(world, **fields):
    world.policy(**fields)
    world.new_revision()
    world.advance()
    return world.rollout()


class TestMachines:
    def test_without_a_role(self, world):
        assert about(world, MachineFactory.create()).startswith("It has no role")

    def test_without_a_config(self, world):
        world.workers[0].desired.delete()
        assert "Its config has not been made yet" in about(world, world.workers[0])

    def test_a_change_that_waits_for_approval_is_among_the_details(self, world):
        machine = Machine.objects.get(pk=world.workers[0].pk)
        for number, profile in enumerate((machine.assignment.profile, "another")):
            PendingChange.objects.create(
                cluster=world.cluster,
                fingerprint=str(number),
                affected=[profile],
                summary=f"content of {profile}",
                why="asked",
                created_at=world.now,
            )
        details = why_machine(machine, now=world.now).details
        waiting = [line for line in details if "waits for approval" in line]
        change = PendingChange.objects.get(fingerprint="0")
        assert waiting == [f"Change {change.pk} waits for approval: {change.summary}."]

    def test_in_the_queue_of_the_install_gate(self, world):
        machine = world.workers[0]
        Machine.objects.filter(pk=machine.pk).update(installed_at=None)
        assert "does not ask to" in about(world, machine)
        gate = InstallGate.objects.get(site="default")
        InstallWaiter.objects.create(
            machine=machine,
            gate=gate,
            raw_query="x",
            first_asked_at=world.now,
            last_asked_at=world.now,
        )
        assert "place 1 of the queue" in about(world, machine)

    def test_before_its_first_report(self, world):
        world.workers[0].ignition_report.delete()
        assert "has not reported yet" in about(world, world.workers[0])

    def test_when_all_is_well(self, world):
        assert (
            about(world, world.workers[0]) == "Nothing is to do: it runs its config of revision 1."
        )

    def test_when_it_is_silent(self, world):
        world.now += timedelta(minutes=7)
        assert "It is silent" in about(world, world.workers[0])

    def test_outdated_without_anybody_who_allows_it(self, world):
        world.new_revision()
        world.report_all()
        assert "nobody allows it to change" in about(world, world.workers[0])
        set_strategy(machine=world.workers[0], strategy=StrategyName.KEXEC, actor="ada")
        assert "may change now by kexec" in about(world, world.workers[0])
        disable_strategy(machine=world.workers[0], actor="ada")
        assert "disabled" in about(world, world.workers[0])

    def test_in_its_turn_and_before_it(self, world):
        roll(world)
        opened = next(m for m in world.workers if world.place(m).state == "open")
        waiting = next(m for m in world.workers if world.place(m).state == "waiting")
        world.report_all()
        assert "may change now by kexec, with a slot of group workers" in about(world, opened)
        assert "max_unavailable 1 allows 1" in about(world, waiting)

    def test_while_it_holds_a_slot(self, world):
        roll(world)
        opened = next(m for m in world.workers if world.place(m).state == "open")
        world.lock(opened)
        assert "it is draining" in about(world, opened)
        world.advance(2000, silent=[opened])
        assert "did not come back: release the slot" in about(world, opened)

    def test_frozen_paused_and_in_maintenance(self, world):
        rollout = roll(world)
        waiting = next(m for m in world.workers if world.place(m).state == "waiting")
        freeze = add_freeze(reason="audit", actor="ada", now=world.now)
        assert "a freeze of everything by ada: audit" in about(world, waiting)
        freeze.delete()
        start_maintenance(machine=waiting, actor="ada", reason="fans", now=world.now)
        assert "it is in maintenance" in about(world, waiting)
        pause_rollout(rollout=rollout, actor="ada", reason="look", now=world.now)
        assert "is paused: by ada: look" in about(world, waiting)

    def test_outside_of_the_window(self, world):
        window = {"days": ["sun"], "start": "02:00", "minutes": 60}
        roll(world, windows=[window])
        text = about(world, world.workers[0])
        assert "the next one opens at 2026-01-11 02:00 UTC" in text

    def test_held_back_by_no_rollout_at_all(self, world):
        rollout = roll(world)
        Rollout.objects.filter(pk=rollout.pk).update(state="aborted")
        waiting = next(m for m in world.workers if world.place(m).state == "waiting")
        assert "waits for a rollout of policy workers" in about(world, waiting)


class TestRollouts:
    def sentence(self, world):
        return why_rollout(world.rollout(), now=world.now).sentence

    def test_ready_running_paused_and_over(self, world):
        rollout = roll(world, starts="manual")
        assert self.sentence(world) == "It waits for an operator to start it."
        Rollout.objects.update(state="running")
        world.advance()
        assert "1 machine is changing: r" in self.sentence(world)
        pause_rollout(rollout=rollout, actor="ada", reason="look", now=world.now)
        assert self.sentence(world) == "It is paused: by ada: look."
        Rollout.objects.update(state="aborted", reason="by ada: no")
        assert self.sentence(world) == "It has ended: aborted: by ada: no."

    def test_when_everybody_left_cannot_change(self, world):
        roll(world)
        for machine in world.workers:
            disable_strategy(machine=machine, actor="ada")
        world.advance()
        assert "waits: blocked by an operator" in self.sentence(world)

    def test_when_a_machine_that_is_away_leaves_no_room_for_the_canary(self, world):
        away = world.workers[-1]  # others come before it
        roll(world, canary_count=1, starts="manual")
        assert world.lock(away, group="default")
        Rollout.objects.update(state="running")
        world.advance()
        answer = why_rollout(world.rollout(), now=world.now)
        assert answer.sentence.startswith("The next machine, r")
        assert "1 of 3 machines are unavailable" in answer.sentence
        name = away.assignment.fqdn
        assert name not in answer.sentence
        held = [
            line for line in answer.details if line.startswith(f"Unavailable: {name}: it holds")
        ]
        assert "a slot of group default" in held[0]

    def test_while_a_stage_soaks_and_a_machine_of_it_is_blocked(self, world):
        blocked = world.workers[0]
        disable_strategy(machine=blocked, actor="ada")
        roll(world, stages=[{"up_to": 2, "soak_seconds": 900}, {"up_to": "100%"}])
        for _ in range(2):
            for machine in world.workers:
                world.update(machine)
            world.advance()
        states = world.states()
        assert sorted(states) == ["done", "waiting", "waiting"]
        assert "stage 1 soaks until" in self.sentence(world)

    def test_in_the_window_and_outside(self, world):
        roll(world, windows=[{"days": ["sun"], "start": "02:00", "minutes": 60}])
        assert "Nothing may move now: the maintenance window is closed" in self.sentence(world)

    def test_there_is_always_an_answer(self, world):
        roll(world)
        Assignment.objects.all().update(profile="")
        for _ in range(3):
            assert self.sentence(world)
            world.advance()
        assert all(about(world, machine) for machine in world.workers)
