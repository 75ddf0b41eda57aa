"""Steps of a rollout: what always holds, and what happens in each case."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given, settings

from lifecycle.rules.amounts import Amount
from lifecycle.rules.budget import Limits, quorum_of
from lifecycle.rules.decide import decide
from lifecycle.rules.rollout import FinishedStage, Row
from lifecycle.rules.stages import Stage
from lifecycle.tests.rules.snapshots import (
    NOON,
    RULES,
    breaks,
    machine,
    snapshot,
    snapshots,
    states_of,
    unavailable_after,
)

MINUTE = timedelta(minutes=1)


def opened(seen, decision):
    """Machines that go away because of this step."""
    return {pk for pk in decision.to_open if decision.rows[pk].state == "open"}


class TestWhatAlwaysHolds:
    @settings(max_examples=1500)
    @given(snapshots)
    def test_a_machine_is_let_go_only_within_all_limits(self, seen):
        decision = decide(seen)
        if not opened(seen, decision):
            return
        members = {pk: one.member for pk, one in seen.machines.items()}
        away = [
            {**members, **seen.away}[pk]
            for pk in unavailable_after(seen, decision)
            if pk in seen.away or seen.machines[pk].is_in_service
        ]
        assert not breaks(seen.rules.limits, seen.total, seen.domain_sizes, away)

    @settings(max_examples=1500)
    @given(snapshots)
    def test_who_stays_open_is_within_the_limits_or_was_called_back(self, seen):
        decision = decide(seen)
        still_open = [
            seen.machines[pk].member
            for pk, state in states_of(seen, decision).items()
            if state == "open" and seen.machines[pk].is_member and seen.machines[pk].is_in_service
        ]
        if not still_open:
            return
        members = {pk: one.member for pk, one in seen.machines.items()}
        away = [
            {**members, **seen.away}[pk]
            for pk in unavailable_after(seen, decision)
            if pk in seen.away or seen.machines[pk].is_in_service
        ]
        assert not breaks(seen.rules.limits, seen.total, seen.domain_sizes, away)

    @settings(max_examples=1500)
    @given(snapshots)
    def test_the_control_plane_goes_one_at_a_time_and_keeps_its_quorum(self, seen):
        decision = decide(seen)
        states = states_of(seen, decision)
        going = {pk for pk in opened(seen, decision) if seen.machines[pk].member.is_control_plane}
        assert len(going) <= 1
        if not going:
            return
        moving = {
            pk
            for pk, state in states.items()
            if state in ("open", "updating", "failed") and seen.machines[pk].member.is_control_plane
        } | set(seen.control_plane.moving)
        assert moving == going
        if seen.control_plane.size == 1:
            assert seen.rules.limits.accepts_downtime
        else:
            left = set(seen.control_plane.available) - moving
            assert len(left) >= quorum_of(seen.control_plane.size)

    @settings(max_examples=1000)
    @given(snapshots)
    def test_nothing_is_opened_while_anything_holds(self, seen):
        decision = decide(seen)
        if seen.state != "running" or seen.hold or seen.gates or decision.state == "paused":
            assert not decision.to_open
            assert not decision.may_move

    @settings(max_examples=1000)
    @given(snapshots)
    def test_nothing_is_opened_before_its_stage(self, seen):
        decision = decide(seen)
        rows = {row.machine_id: row for row in seen.rows}
        in_service = {pk for pk in decision.to_open if seen.machines[pk].is_in_service}
        assert all(rows[pk].stage <= decision.stage for pk in in_service)
        assert decision.stage >= seen.stage

    @settings(max_examples=1000)
    @given(snapshots)
    def test_a_machine_that_cannot_change_is_not_let_go(self, seen):
        decision = decide(seen)
        for pk in opened(seen, decision):
            assert not seen.machines[pk].why_not
            assert seen.machines[pk].is_member

    @settings(max_examples=1000)
    @given(snapshots)
    def test_a_step_that_changes_nothing_is_a_fixed_point(self, seen):
        """Deciding again at once, after the first decision was stored, opens nobody further."""
        first = decide(seen)
        rows = [first.rows.get(row.machine_id, row) for row in seen.rows]
        left = [row for row in rows if row.state not in ("done", "skipped")]
        finished = dict(seen.finished)
        for row in rows:
            if row.state in ("done", "skipped"):
                finished[row.stage] = FinishedStage(1, NOON)
        again = decide(
            replace(
                seen,
                state=first.state,
                reason=first.reason,
                stage=first.stage,
                rows=left,
                finished=finished,
                gates_failing_since=first.gates_failing_since,
            )
        )
        ended = [row for step in (first, again) for row in step.rows.values() if row.finished_at]
        if not first.to_close and first.state == "running" and not ended:
            assert not opened(seen, again)

    @settings(max_examples=1000)
    @given(snapshots)
    def test_an_updating_machine_is_never_called_back(self, seen):
        decision = decide(seen)
        rows = {row.machine_id: row for row in seen.rows}
        for pk in decision.to_close:
            assert rows[pk].state == "open"
            assert not seen.machines[pk].has_slot


class TestOpening:
    def test_machines_are_opened_in_their_order_up_to_the_number(self):
        rules = replace(RULES, limits=Limits(Amount(2)))
        decision = decide(snapshot([machine(n) for n in range(5)], rules=rules))
        assert decision.to_open == [0, 1]
        assert "max_unavailable 2" in decision.refused[2]

    def test_a_silent_machine_takes_its_part_of_the_number(self):
        silent = machine(4, why_away="silent", why_not="silent")
        decision = decide(snapshot([*(machine(n) for n in range(4)), silent]))
        assert decision.to_open == []

    def test_with_one_domain_at_a_time_the_others_of_that_domain_follow(self):
        rules = replace(RULES, limits=Limits(Amount(3), max_domains=1))
        machines = [machine(n, domain=f"rack:{n % 2}") for n in range(6)]
        assert decide(snapshot(machines, rules=rules)).to_open == [0, 2, 4]

    def opened_elsewhere(self, limits, machines):
        """Whom a step opens while the first one is open, and another server has the slots."""
        rules = replace(RULES, limits=limits, has_slots=False)
        rows = [Row(n, n, 0, state="open" if n == 0 else "waiting") for n in range(len(machines))]
        decision = decide(snapshot(machines, rows, rules=rules))
        assert decision.to_close == []
        return decision.to_open

    def test_one_that_is_open_has_its_place_of_a_domain_also_with_slots_elsewhere(self):
        machines = [machine(n, domain=f"rack:{n // 2}") for n in range(4)]
        each = Limits(Amount(9), per_domain=Amount(1))
        assert self.opened_elsewhere(each, machines) == [2]
        assert self.opened_elsewhere(Limits(Amount(9), max_domains=1), machines) == [1]

    def test_one_of_the_control_plane_that_is_open_changes_also_with_slots_elsewhere(self):
        plane = [machine(n, is_control_plane=True) for n in range(3)]
        assert self.opened_elsewhere(Limits(Amount(9)), plane) == []

    def test_two_machines_of_unknown_place_may_be_two_domains(self):
        rules = replace(RULES, limits=Limits(Amount(3), max_domains=1))
        assert decide(snapshot([machine(0), machine(1)], rules=rules)).to_open == [0]

    def test_a_machine_that_is_not_installed_costs_nothing(self):
        new = machine(1, is_in_service=False)
        decision = decide(snapshot([machine(0), new, machine(2)]))
        assert decision.to_open == [0, 1]
        assert decision.rows[1].state == "done"

    def test_without_a_strategy_configs_change_and_nobody_goes_away(self):
        machines = [machine(n, is_applied_by_itself=True) for n in range(3)]
        decision = decide(snapshot(machines))
        assert decision.to_open == [0, 1, 2]
        assert decision.state == "completed"


class TestStages:
    STAGES = (Stage(1, 600, is_canary=True), Stage(3))

    def rows(self, **first):
        return [Row(0, 0, 0, **first), Row(1, 1, 1), Row(2, 2, 1)]

    def seen(self, machines=None, rows=None, **changes):
        machines = machines or [machine(n) for n in range(3)]
        rules = replace(RULES, limits=Limits(Amount(3)))
        return snapshot(
            machines,
            rows or self.rows(),
            **({"rules": rules, "stages": list(self.STAGES)} | changes),
        )

    def test_the_canary_goes_alone(self):
        decision = decide(self.seen())
        assert decision.to_open == [0]
        assert decision.stage_hold == "stage 1 has 1 machine that is not done"

    def test_it_soaks_before_the_next_stage(self):
        for minutes, expected in ((9, []), (11, [1, 2])):
            done = {0: FinishedStage(1, NOON - minutes * MINUTE)}
            decision = decide(
                self.seen([machine(1), machine(2)], self.rows()[1:], finished=done, row_count=3)
            )
            assert decision.to_open == expected

    def test_a_canary_that_cannot_change_holds_everything_up(self):
        silent = machine(0, why_away="silent", why_not="silent since 11:00")
        decision = decide(self.seen([silent, machine(1), machine(2)]))
        assert decision.to_open == []
        assert decision.refused[0] == "silent since 11:00"

    def test_a_later_machine_that_cannot_change_holds_up_nobody(self):
        stages = [Stage(1), Stage(3)]
        silent = machine(0, why_away="silent", why_not="silent")
        decision = decide(self.seen([silent, machine(1), machine(2)], stages=stages))
        assert decision.to_open == [1, 2]
        assert decision.stage == 1

    def test_a_stage_that_asks_waits_for_the_answer(self):
        stages = [Stage(1), Stage(3, needs_confirmation=True)]
        done = {0: FinishedStage(1, NOON - MINUTE)}
        seen = self.seen(
            [machine(1), machine(2)], self.rows()[1:], stages=stages, finished=done, row_count=3
        )
        assert decide(seen).stage_hold == "stage 2 waits for an operator's confirmation"
        assert decide(replace(seen, confirmed_stage=1)).to_open == [1, 2]


class TestOrder:
    def seen(self, order, first, second):
        rules = replace(RULES, limits=Limits(Amount(3)))
        rows = [Row(0, 0, 0, wave=0), Row(1, 1, 0, wave=1)]
        return snapshot([first, second], rows, rules=rules, order=order)

    def test_workers_wait_for_the_control_plane(self):
        first = machine(0, is_control_plane=True)
        seen = self.seen("control-plane-first", first, machine(1))
        seen = replace(seen, control_plane=replace(seen.control_plane, size=3, available={0, 8, 9}))
        decision = decide(seen)
        assert decision.to_open == [0]
        assert decision.refused[1] == "the control plane of this rollout go first"

    def test_also_for_a_member_that_is_silent(self):
        first = machine(0, is_control_plane=True, why_away="silent", why_not="silent")
        assert decide(self.seen("control-plane-first", first, machine(1))).to_open == []

    def test_a_silent_worker_does_not_hold_up_the_control_plane(self):
        silent = machine(0, why_away="silent", why_not="silent")
        seen = self.seen("workers-first", silent, machine(1, is_control_plane=True))
        plane = replace(seen.control_plane, size=3, available=frozenset({1, 8, 9}))
        assert decide(replace(seen, control_plane=plane)).to_open == [1]

    def test_another_policys_rollout_may_go_first(self):
        seen = snapshot([machine(0)], peers={False: "the control plane goes first, by policy cp"})
        decision = decide(seen)
        assert decision.refused[0] == "the control plane goes first, by policy cp"


class TestTracking:
    def one(self, row, one, **changes):
        seen = snapshot([one], [row], **changes)
        decision = decide(seen)
        return decision, decision.rows.get(one.member.machine_id, row)

    def updating(self, **changes):
        row: dict[str, Any] = {
            "state": "updating",
            "opened_at": NOON - 5 * MINUTE,
            "updating_at": NOON - 4 * MINUTE,
            "deadline_at": NOON + 26 * MINUTE,
        }
        return Row(0, 0, 0, **(row | changes))

    def test_one_that_took_a_slot_is_updating(self):
        row = Row(0, 0, 0, state="open", opened_at=NOON - MINUTE)
        one = machine(0, has_slot=True, why_away="it holds a slot", why_not="it holds a slot")
        _, after = self.one(row, one)
        assert (after.state, after.deadline_at) == ("updating", NOON + RULES.return_time)

    def test_one_that_runs_the_config_and_freed_its_slot_is_done(self):
        decision, after = self.one(self.updating(), machine(0, is_current=True))
        assert (after.state, decision.state) == ("done", "completed")

    def test_it_must_stay_so_for_the_settling_time(self):
        rules = replace(RULES, settle_time=2 * MINUTE)
        _, after = self.one(self.updating(), machine(0, is_current=True), rules=rules)
        assert (after.state, after.ready_at) == ("updating", NOON)
        _, later = self.one(after, machine(0, is_current=True), rules=rules, now=NOON + 2 * MINUTE)
        assert later.state == "done"

    def test_one_that_flaps_begins_to_settle_again(self):
        row = self.updating(ready_at=NOON - MINUTE, returned_at=NOON)
        rules = replace(RULES, settle_time=10 * MINUTE)
        _, after = self.one(row, machine(0, is_current=False), rules=rules)
        assert after.ready_at is None

    def test_one_that_holds_its_slot_past_the_deadline_pauses_the_rollout(self):
        one = machine(0, has_slot=True, why_away="slot", why_not="slot")
        decision, after = self.one(self.updating(), one, now=NOON + 30 * MINUTE)
        assert (after.state, decision.state, decision.lost) == ("failed", "paused", [0])
        assert decision.reason.startswith("srv0: it did not come back in time")

    def test_one_that_was_told_to_power_off_may_stay_away(self):
        one = machine(0, has_slot=True, may_be_off=True, why_away="slot", why_not="slot")
        decision, after = self.one(self.updating(), one, now=NOON + 600 * MINUTE)
        assert (after.state, decision.state) == ("updating", "running")

    def test_one_whose_report_is_outdated_after_its_slot_failed(self):
        row = self.updating(returned_at=NOON - MINUTE)
        decision, after = self.one(row, machine(0))
        assert after.state == "failed"
        assert "still outdated" in decision.reason

    def test_its_report_of_before_says_nothing(self):
        row = self.updating(returned_at=NOON)
        _, after = self.one(row, machine(0))
        assert after.state == "updating"

    def test_one_that_never_begins_failed_once_it_could_have(self):
        row = Row(0, 0, 0, state="open", opened_at=NOON - 31 * MINUTE)
        decision, after = self.one(row, machine(0))
        assert after.deadline_at == NOON + RULES.return_time
        decision, after = self.one(after, machine(0), now=NOON + 30 * MINUTE)
        assert after.state == "failed"
        assert "did not begin" in decision.reason

    def test_its_time_does_not_run_while_nothing_may_move(self):
        row = Row(0, 0, 0, state="open", opened_at=NOON, deadline_at=NOON + MINUTE)
        _, after = self.one(row, machine(0), hold="the window is closed")
        assert (after.state, after.deadline_at) == ("open", None)

    def test_a_failed_one_that_comes_back_is_done_and_the_pause_stays(self):
        row = Row(0, 0, 0, state="failed", finished_at=NOON - MINUTE)
        other = machine(1)
        seen = snapshot(
            [machine(0, is_current=True), other], [row, Row(1, 1, 0)], state="paused", reason="x"
        )
        decision = decide(seen)
        assert (decision.rows[0].state, decision.state) == ("done", "paused")

    def test_an_open_machine_that_became_unable_is_called_back(self):
        row = Row(0, 0, 0, state="open", opened_at=NOON)
        one = machine(0, why_away="maintenance", why_not="maintenance")
        decision, after = self.one(row, one)
        assert (after.state, decision.to_close) == ("waiting", [0])

    def test_open_machines_that_do_not_fit_any_more_are_called_back(self):
        rules = replace(RULES, limits=Limits(Amount(2)))
        rows = [Row(n, n, 0, state="open", opened_at=NOON) for n in range(2)]
        dead = machine(2, why_away="silent", why_not="silent")
        seen = snapshot([machine(0), machine(1), dead], [*rows, Row(2, 2, 0)], rules=rules)
        decision = decide(seen)
        assert decision.to_close == [1]
        assert states_of(seen, decision) == {0: "open", 1: "waiting", 2: "waiting"}


class TestPausing:
    def failing(self, number, **changes):
        return Row(number, number, 1, state="updating", returned_at=NOON - MINUTE, **changes)

    def seen(self, rows, **changes):
        rules = replace(RULES, limits=Limits(Amount(9)), failure_threshold=Amount(2))
        stages = [Stage(1, is_canary=True), Stage(9)]
        machines = [machine(row.machine_id) for row in rows]
        return snapshot(
            machines, rows, **({"rules": rules, "stages": stages, "stage": 1} | changes)
        )

    def test_failures_below_the_threshold_do_not_stop_it(self):
        decision = decide(self.seen([self.failing(1), Row(2, 2, 1)]))
        assert (decision.state, decision.to_open) == ("running", [2])

    def test_failures_at_the_threshold_do(self):
        decision = decide(self.seen([self.failing(1), self.failing(2), Row(3, 3, 1)]))
        assert decision.state == "paused"
        assert decision.reason.endswith("(and 1 more)")
        assert decision.to_open == []

    def test_a_failed_canary_always_does(self):
        canary = replace(self.failing(0), stage=0)
        assert decide(self.seen([canary, Row(2, 2, 1)], stage=0)).state == "paused"

    def test_an_old_failure_does_not_stop_a_rollout_that_was_resumed(self):
        old = Row(0, 0, 0, state="failed", finished_at=NOON - MINUTE)
        decision = decide(self.seen([old, Row(1, 1, 1), Row(2, 2, 1)]))
        assert decision.state == "running"

    def test_a_gate_that_fails_for_too_long_does(self):
        gates = {"gates": "gate etcd fails: no leader"}
        first = decide(self.seen([Row(1, 1, 1)], **gates))
        assert (first.state, first.gates_failing_since) == ("running", NOON)
        later = self.seen([Row(1, 1, 1)], gates_failing_since=NOON, now=NOON + 15 * MINUTE, **gates)
        assert decide(later).state == "paused"
        assert decide(later).reason == "gate etcd fails: no leader, for 15 min"

    def test_a_rollout_with_tolerated_failures_ends_and_says_so(self):
        old = Row(0, 0, 1, state="failed", finished_at=NOON - MINUTE)
        decision = decide(self.seen([old]))
        assert (decision.state, decision.reason) == ("completed", "1 machine failed")
