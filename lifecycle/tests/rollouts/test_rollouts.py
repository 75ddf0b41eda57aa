"""Rollouts from a new revision to the last machine, with what goes wrong on the way."""

from datetime import timedelta

import pytest

from enjoliver.common.errors import Conflict, InvalidInput
from lifecycle.models import AgentProgress, Rollout, Slot, StrategyName
from lifecycle.services import (
    abort_rollout,
    advance_rollouts,
    disable_strategy,
    pause_rollout,
    release_slot,
    resume_rollout,
    set_strategy,
    skip_machine,
    start_maintenance,
    start_rollout,
)
from lifecycle.tests.rollouts.world import MINUTE, World
from machines.models import BootJournal, Event
from machines.services.journals import store_journal

pytestmark = pytest.mark.django_db


@pytest.fixture
def world():
    return World(workers=4)


def roll(world, **fields):
    """A policy for the workers and a new revision, one step on."""
    world.policy(**fields)
    world.new_revision()
    world.advance()
    return world.rollout()


class TestFromARevisionToItsEnd:
    def test_machines_without_a_policy_move_at_once_as_before(self, world):
        world.new_revision()
        assert [world.desired(machine) for machine in world.workers] == [2] * 4
        world.advance()
        assert not Rollout.objects.exists()

    def test_machines_with_a_policy_are_held_back_until_their_turn(self, world):
        rollout = roll(world)
        assert (rollout.state, rollout.revision_number, rollout.from_number) == ("running", 2, 1)
        assert world.states() == ["open", "waiting", "waiting", "waiting"]
        assert sorted(world.desired(machine) for machine in world.workers) == [1, 1, 1, 2]

    def test_it_goes_one_by_one_and_ends(self, world):
        roll(world)
        for _ in range(4):
            assert sum(world.update(machine) for machine in world.workers) == 1
            world.advance()
        assert world.states() == ["done"] * 4
        assert world.rollout().state == "completed"
        assert set(world.running.values()) == {2}
        assert not Slot.objects.exists()

    def test_a_machine_that_is_not_its_turn_has_neither_leave_nor_slot(self, world):
        roll(world)
        waiting = [m for m in world.workers if world.place(m).state == "waiting"]
        leave = world.leave(waiting[0])
        assert leave.strategy is None
        assert "not its turn" in leave.refusal
        assert not world.lock(waiting[0])

    def test_a_policy_made_when_all_is_well_makes_no_rollout(self, world):
        world.policy()
        world.advance()
        assert not Rollout.objects.exists()

    def test_a_machine_that_never_ran_a_config_is_not_held_back(self, world):
        world.policy()
        world.workers[0].ignition_report.delete()
        world.new_revision()
        assert world.desired(world.workers[0]) == 2

    def test_a_revision_that_is_still_rendered_makes_no_rollout(self, world):
        world.policy()
        revision = world.new_revision()
        type(revision).objects.filter(pk=revision.pk).update(completed_at=None)
        world.advance()
        assert not Rollout.objects.exists()

    def test_a_revision_of_a_new_machine_leaves_a_rollout_as_it_is(self, world):
        rollout = roll(world)
        world.new_revision(machines=[])
        world.advance()
        assert world.rollout() == rollout
        assert world.rollout().state == "running"

    def test_a_newer_revision_supersedes_it(self, world):
        old = roll(world)
        opened = next(m for m in world.workers if world.place(m).state == "open")
        world.new_revision()
        world.advance()
        old.refresh_from_db()
        assert (old.state, world.rollout().revision_number) == ("superseded", 3)
        assert world.states() == ["open", "waiting", "waiting", "waiting"]
        assert set(world.states(old)) == {"skipped"}
        assert world.desired(opened) in (1, 3)

    def test_one_that_was_at_it_finishes_and_comes_again(self, world):
        roll(world)
        first = next(m for m in world.workers if world.place(m).state == "open")
        assert world.lock(first)
        world.apply(first)
        world.new_revision()
        world.advance()
        assert world.states()[:2] == ["waiting", "waiting"]
        world.report(first)
        world.unlock(first)
        world.advance()
        assert "open" in world.states()

    def test_started_by_hand_it_waits_until_then(self, world):
        rollout = roll(world, starts="manual")
        assert (rollout.state, world.states()) == ("ready", ["waiting"] * 4)
        assert "waits for an operator to start it" in rollout.hold
        start_rollout(policy=rollout.policy, actor="ada", now=world.now)
        world.advance()
        assert world.states()[0] == "open"

    def test_what_came_late_joins_at_the_end(self, world):
        roll(world)
        late = world.workers[3]
        world.place(late).delete()
        world.advance()
        assert world.place(late).position == 3

    def test_a_machine_that_is_outdated_by_itself_gets_a_place(self, world):
        world.policy()
        world.running[world.workers[0].pk] = 9
        world.report(world.workers[0])
        world.advance()
        assert world.states() == ["open"]

    def test_but_only_once_by_itself(self, world):
        world.policy()
        drifting = world.workers[0]
        world.running[drifting.pk] = 9
        world.advance()
        world.update(drifting)
        world.advance()
        assert world.rollout().state == "completed"
        world.running[drifting.pk] = 9
        world.advance(60)
        assert Rollout.objects.count() == 1
        start_rollout(policy=world.rollout().policy, actor="ada", now=world.now)
        assert Rollout.objects.count() == 2


class TestLimits:
    def test_silent_machines_count(self, world):
        world.policy(max_unavailable="2")
        world.now += timedelta(minutes=6)
        world.report_all(except_for=world.workers[:1])
        world.new_revision()
        advance_rollouts(now=world.now)
        assert world.states().count("open") == 1

    def test_a_slot_of_the_default_group_counts(self, world):
        world.policy(max_unavailable="2")
        assert world.lock(world.workers[0], group="default")
        world.new_revision()
        world.advance()
        assert world.states().count("open") == 1

    def test_machines_in_maintenance_count_and_are_left_alone(self, world):
        start_maintenance(machine=world.workers[0], actor="ada", reason="fans", now=world.now)
        roll(world, max_unavailable="2")
        assert world.states().count("open") == 1
        assert world.place(world.workers[0]).state == "waiting"

    def test_never_machines_of_two_racks(self, world):
        roll(world, max_unavailable="4", max_domains=1)
        opened = [m for m in world.workers if world.place(m).state == "open"]
        assert len({m.labels["rack"] for m in opened}) == 1

    def test_one_a_rack_with_slots_of_their_own(self):
        world = World(workers=8, racks=2)
        roll(world, max_unavailable="4", max_unavailable_per_domain="1")
        opened = [m for m in world.workers if world.place(m).state == "open"]
        assert sorted(m.labels["rack"] for m in opened) == ["0", "1"]
        groups = {world.leave(machine).group for machine in opened}
        assert len(groups) == 2
        assert all(name.startswith("workers.") for name in groups)
        assert all(world.lock(machine) for machine in opened)

    def test_who_was_opened_is_called_back_when_others_fail(self, world):
        roll(world, max_unavailable="2")
        opened = [m for m in world.workers if world.place(m).state == "open"]
        dead = next(m for m in world.workers if m not in opened)
        world.advance(360, silent=[dead])
        assert world.states().count("open") == 1
        back = next(m for m in opened if world.place(m).state == "waiting")
        assert world.desired(back) == 1
        assert world.leave(back).strategy is None

    def test_leave_is_refused_the_moment_too_many_are_away(self, world):
        roll(world, max_unavailable="1")
        opened = next(m for m in world.workers if world.place(m).state == "open")
        other = next(m for m in world.workers if m != opened)
        assert world.lock(other, group="default")
        assert "2 of 4 machines are unavailable" in world.leave(opened).refusal
        assert not world.lock(opened)

    def test_a_machine_that_an_operator_blocked_holds_up_nobody(self, world):
        disable_strategy(machine=world.workers[0], actor="ada")
        roll(world, max_unavailable="4")
        assert world.states().count("open") == 3
        assert "blocked by an operator" in world.leave(world.workers[0]).refusal

    def test_a_machines_own_strategy_replaces_the_policys(self, world):
        for machine in world.workers:
            set_strategy(machine=machine, strategy=StrategyName.REBOOT, actor="ada")
        roll(world)
        opened = next(m for m in world.workers if world.place(m).state == "open")
        assert world.leave(opened).strategy == "reboot"


class TestControlPlane:
    def test_it_goes_one_at_a_time_with_a_quorum(self):
        world = World(plane=3)
        roll(world, name="plane")
        assert world.states() == ["open", "waiting", "waiting"]

    def test_not_while_a_member_is_away(self):
        world = World(plane=3)
        world.policy(name="plane")
        world.new_revision()
        world.advance(400, silent=world.plane[:1])
        assert "open" not in world.states()

    def test_two_policies_do_not_both_take_one(self):
        world = World(plane=3)
        for number, machine in enumerate(world.plane):
            world.policy(name=f"p{number}", selector={"machines": [machine.uuid]})
        world.new_revision()
        world.advance()
        states = [state for rollout in Rollout.objects.all() for state in world.states(rollout)]
        assert sorted(states) == ["open", "waiting", "waiting"]

    def test_workers_wait_for_it_when_the_version_changes(self):
        world = World(plane=1, workers=2)
        world.policy(name="plane", accepts_downtime=True)
        world.policy()
        world.new_revision(values={"kubernetes_version": "1.35.0"})
        world.advance()
        plane, workers = (world.rollout(p.policy) for p in Rollout.objects.order_by("policy__name"))
        assert world.states(plane) == ["open"]
        assert world.states(workers) == ["waiting", "waiting"]
        world.update(world.plane[0])
        world.advance(60)
        assert world.states(workers) == ["open", "waiting"]

    def test_it_waits_for_the_workers_else(self):
        world = World(plane=1, workers=1)
        world.policy(name="plane", accepts_downtime=True)
        world.policy()
        world.new_revision()
        world.advance()
        plane, workers = (world.rollout(p.policy) for p in Rollout.objects.order_by("policy__name"))
        assert (world.states(plane), world.states(workers)) == (["waiting"], ["open"])

    def test_one_alone_needs_its_downtime_accepted(self):
        world = World(plane=1)
        with pytest.raises(InvalidInput) as error:
            world.policy(name="plane")
        assert "accepts_downtime" in error.value.fields


class TestPausing:
    def begin(self, world, **fields):
        rollout = roll(world, **fields)
        machine = next(m for m in world.workers if world.place(m).state == "open")
        assert world.lock(machine)
        return rollout, machine

    def test_one_that_does_not_come_back_keeps_its_slot_and_stops_everything(self, world):
        rollout, machine = self.begin(world)
        world.advance(1900, silent=[machine])
        rollout.refresh_from_db()
        slot = Slot.objects.get()
        assert (rollout.state, slot.phase, world.place(machine).state) == (
            "paused",
            "lost",
            "failed",
        )
        assert rollout.reason.startswith("r")
        assert "did not come back in time" in rollout.reason
        assert Event.objects.filter(kind="slot_lost", level="error").count() == 1
        assert not any(world.update(other) for other in world.workers)

    def test_its_last_words_say_which_of_them_are_older_than_the_rollout(self, world):
        rollout, machine = self.begin(world)
        hour = timedelta(hours=1)
        for verb, seen_at in (("install", world.now - hour), ("report", world.now + MINUTE)):
            AgentProgress.objects.create(
                machine=machine, verb=verb, step="waiting", since_at=seen_at, seen_at=seen_at
            )
        store_journal(machine=machine, boot_id="b1", lines=["Ignition finished"])
        BootJournal.objects.update(created_at=world.now - hour)
        world.advance(1900, silent=[machine])
        rollout.refresh_from_db()
        report, install, journal, last = rollout.details.splitlines()[1:]
        assert "before this rollout" not in report
        assert "UTC, before this rollout began: install" in install
        assert "UTC, before this rollout began:" in journal
        assert last == "Ignition finished"

    def test_it_may_come_back_late_and_the_operator_lets_it_go_on(self, world):
        rollout, machine = self.begin(world)
        world.advance(1900, silent=[machine])
        world.apply(machine)
        world.report(machine)
        world.unlock(machine)
        world.advance()
        assert world.place(machine).state == "done"
        assert world.rollout().state == "paused"
        resume_rollout(rollout=rollout, actor="ada", now=world.now)
        world.advance()
        assert world.states().count("open") == 1

    def test_an_operator_gives_the_machine_up(self, world):
        rollout, machine = self.begin(world, max_unavailable="2")
        world.advance(1900, silent=[machine])
        release_slot(slot=Slot.objects.get(), actor="ada", reason="burnt", now=world.now)
        place = world.place(machine)
        assert (place.state, place.reason) == ("skipped", "its slot was released by ada: burnt")
        resume_rollout(rollout=rollout, actor="ada", now=world.now)
        world.advance(silent=[machine])
        assert world.states().count("open") == 1

    def test_one_whose_config_did_not_take_stops_it(self, world):
        rollout, machine = self.begin(world)
        world.unlock(machine)
        world.advance(30)
        rollout.refresh_from_db()
        assert rollout.state == "paused"
        assert "still outdated" in rollout.reason

    def test_it_gets_another_try_when_resumed(self, world):
        rollout, machine = self.begin(world)
        world.unlock(machine)
        world.advance(30)
        resume_rollout(rollout=rollout, actor="ada", now=world.now)
        world.advance()
        assert world.update(machine)
        world.advance()
        assert world.place(machine).state == "done"

    def test_time_without_the_engine_is_nobodys_delay(self, world):
        rollout, machine = self.begin(world)
        world.now += timedelta(hours=3)
        world.report_all(except_for=[machine])
        advance_rollouts(now=world.now)
        rollout.refresh_from_db()
        assert (rollout.state, world.place(machine).state) == ("running", "updating")

    def test_a_clock_that_steps_back_makes_nobody_wait_for_ever(self, world):
        rollout, machine = self.begin(world)
        world.now -= timedelta(hours=3)
        world.advance(2000, silent=[machine])
        rollout.refresh_from_db()
        assert rollout.state == "paused"

    def test_one_that_was_told_to_power_off_is_waited_for(self, world):
        rollout, machine = self.begin(world, strategy="poweroff")
        world.advance(4000, silent=[machine])
        rollout.refresh_from_db()
        assert (rollout.state, Slot.objects.get().phase) == ("running", "powered-off")

    def test_an_operators_pause_stops_who_has_not_begun(self, world):
        rollout = roll(world)
        pause_rollout(rollout=rollout, actor="ada", reason="look", now=world.now)
        opened = next(m for m in world.workers if world.place(m).state == "open")
        assert "paused: by ada: look" in world.leave(opened).refusal
        assert not world.lock(opened)
        with pytest.raises(Conflict):
            pause_rollout(rollout=rollout, actor="ada", reason="again", now=world.now)


class TestGoingBack:
    def test_it_starts_by_itself_also_where_rollouts_wait_for_an_operator(self, world):
        rollout = roll(world, starts="manual")
        start_rollout(policy=rollout.policy, actor="ada", now=world.now)
        world.advance()
        changed = next(m for m in world.workers if world.update(m))
        world.advance()
        world.new_revision(content=1)
        world.advance()
        back = Rollout.objects.get(state="running")
        assert (back.revision_number, world.place(changed).state) == (3, "open")


class TestGivingUp:
    def test_skipped_machines_keep_what_they_have(self, world):
        rollout = roll(world)
        opened = next(m for m in world.workers if world.place(m).state == "open")
        skip_machine(rollout=rollout, machine=opened, actor="ada", reason="no", now=world.now)
        assert world.desired(opened) == 1
        world.advance()
        assert world.states().count("open") == 1

    def test_an_aborted_one_takes_nobody_further(self, world):
        rollout = roll(world)
        first = next(m for m in world.workers if world.place(m).state == "open")
        world.update(first)
        world.advance()
        second = next(m for m in world.workers if world.place(m).state == "open")
        abort_rollout(rollout=rollout, actor="ada", reason="bad", now=world.now)
        assert (world.desired(first), world.desired(second)) == (2, 1)
        world.advance(60)
        assert Rollout.objects.count() == 1
        assert not any(world.update(machine) for machine in world.workers)

    def test_it_can_be_started_anew(self, world):
        rollout = roll(world)
        abort_rollout(rollout=rollout, actor="ada", reason="bad", now=world.now)
        again = start_rollout(policy=rollout.policy, actor="ada", now=world.now)
        world.advance()
        assert again.machines.count() == 4

    @pytest.mark.parametrize("service", [abort_rollout, pause_rollout])
    def test_a_reason_is_needed(self, world, service):
        with pytest.raises(InvalidInput):
            service(rollout=roll(world), actor="ada", reason=" ")


def test_a_canary_soaks_before_the_others_follow(world):
    roll(world, max_unavailable="4", canary_count=1, canary_soak_seconds=600)
    assert world.states() == ["open", "waiting", "waiting", "waiting"]
    canary = next(m for m in world.workers if world.place(m).state == "open")
    world.update(canary)
    world.advance(5 * 60)
    assert world.states() == ["done", "waiting", "waiting", "waiting"]
    assert "soaks" in world.rollout().hold
    world.advance(6 * 60)
    assert world.states() == ["done", "open", "open", "open"]


def test_a_stage_waits_for_its_confirmation(world):
    stages = [{"up_to": "1"}, {"up_to": "100%", "needs_confirmation": True}]
    rollout = roll(world, max_unavailable="4", stages=stages)
    world.update(next(m for m in world.workers if world.place(m).state == "open"))
    world.advance(60)
    assert world.rollout().hold == "stage 2 waits for an operator's confirmation"
    resume_rollout(rollout=world.rollout(), actor="ada", now=world.now)
    world.advance()
    assert world.states() == ["done", "open", "open", "open"]
    with pytest.raises(Conflict):
        resume_rollout(rollout=world.rollout(), actor="ada", now=world.now)
    assert rollout.pk == world.rollout().pk


def test_without_a_restart_configs_change_and_nobody_goes_away(world):
    roll(world, strategy="none")
    assert world.rollout().state == "completed"
    assert {world.desired(machine) for machine in world.workers} == {2}
    assert "restarts nothing" in world.leave(world.workers[0]).refusal


def test_a_machine_done_after_settling(world):
    roll(world, settle_seconds=120)
    world.update(next(m for m in world.workers if world.place(m).state == "open"))
    world.advance(60)
    assert world.states()[0] == "updating"
    world.advance(2 * 60)
    assert world.states()[0] == "done"


def test_a_second_step_at_the_same_time_changes_nothing(world):
    rollout = roll(world)
    version = Rollout.objects.get(pk=rollout.pk).version
    advance_rollouts(now=world.now + MINUTE / 60)
    assert Rollout.objects.get(pk=rollout.pk).version == version
