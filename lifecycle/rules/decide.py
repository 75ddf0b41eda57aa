"""One step of a rollout: who is done, who failed, who goes next, or why nobody does. Pure.

What holds by construction: a machine is opened by `Budget.take` only, and at each step all machines
that are open but have not begun are taken again, in their order, before any further one; whoever
does not fit any more is closed. So the machines that the engine lets go are always a set that the
policy allows, whatever happened to others meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from enjoliver.common.words import counted
from lifecycle.rules.budget import Budget, ControlPlane
from lifecycle.rules.order import CONTROL_PLANE_FIRST
from lifecycle.rules.rollout import Decision, Machine, Row, Snapshot
from lifecycle.rules.states import (
    COMPLETED,
    DONE,
    FAILED,
    OPEN,
    PAUSED,
    READY,
    RUNNING,
    SKIPPED,
    UNFINISHED_STATES,
    UPDATING,
    WAITING,
)
from lifecycle.rules.tracking import track

NOT_INSTALLED = "it is not installed yet: it installs with the new config"
BY_ITSELF = "its strategy is none: it has the new config from its next start on"


def decide(seen: Snapshot) -> Decision:
    """What the next step of the rollout is, given everything that was `seen`."""
    return _Step(seen).run()


class _Step:
    """The working state of one decision; each method is one concern."""

    def __init__(self, seen: Snapshot) -> None:
        self.seen, self.now = seen, seen.now
        self.decision = Decision(seen.state, seen.reason, seen.stage)
        self.rows = {row.machine_id: row for row in seen.rows}
        self.before = dict(self.rows)

    def run(self) -> Decision:
        self._track()
        self._watch_gates()
        self._pause_on_failures()
        budget = self._budget()
        self._keep_or_close_open(budget)
        self.decision.hold = self._why_hold()
        self._advance_stage()
        if self.decision.may_move:
            self._open_further(budget)
        self._set_deadlines()
        self._complete()
        self.decision.rows = {
            machine_id: row
            for machine_id, row in self.rows.items()
            if row != self.before[machine_id]
        }
        return self.decision

    def _machine(self, row: Row) -> Machine:
        return self.seen.machines[row.machine_id]

    def _in_state(self, *states: str) -> Iterator[Row]:
        return (row for row in list(self.rows.values()) if row.state in states)

    # --- what became of those that were let go --------------------------------------------------

    def _track(self) -> None:
        for row in self._in_state(OPEN, UPDATING, FAILED):
            tracked = track(row, self._machine(row), self.seen.rules, self.now)
            self.rows[row.machine_id] = tracked.row
            if tracked.is_lost:
                self.decision.lost.append(row.machine_id)
            if tracked.row.state == FAILED and row.state != FAILED:
                self.decision.failures.append(f"{self._machine(row).name}: {tracked.row.reason}")
        for row in self._in_state(WAITING):
            if not self._machine(row).is_member:
                reason = "it does not belong to the policy any more"
                self._finish(row, SKIPPED, reason)

    def _finish(self, row: Row, state: str, reason: str) -> None:
        self.rows[row.machine_id] = replace(
            row, state=state, reason=reason, finished_at=self.now, deadline_at=None
        )

    # --- reasons to pause -----------------------------------------------------------------------

    def _watch_gates(self) -> None:
        """Since when the gates have failed, while something would move but for them."""
        seen, patience = self.seen, self.seen.rules.gate_patience
        if not seen.gates or seen.hold or seen.state != RUNNING:
            return
        since = min(seen.gates_failing_since or self.now, self.now)
        self.decision.gates_failing_since = since
        if patience and self.now - since >= patience:
            self._pause(f"{seen.gates}, for {_duration(self.now - since)}")

    def _pause_on_failures(self) -> None:
        failures = self.decision.failures
        if not failures or self.seen.state != RUNNING:
            return
        failed = sum(1 for _ in self._in_state(FAILED))
        if failed < self.seen.rules.failure_threshold.of(self.seen.row_count) and not any(
            self._is_grave(row) for row in self._in_state(FAILED)
        ):
            return
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        self._pause(failures[0] + more)

    def _is_grave(self, row: Row) -> bool:
        """One failure is enough: of the canary, of the control plane, or a slot that is lost."""
        if self.before[row.machine_id].state == FAILED:
            return False  # an operator knew of it when they let the rollout go on
        is_canary = row.stage < len(self.seen.stages) and self.seen.stages[row.stage].is_canary
        is_control_plane = self._machine(row).member.is_control_plane
        return is_canary or is_control_plane or row.machine_id in self.decision.lost

    def _pause(self, reason: str) -> None:
        self.decision.state, self.decision.reason = PAUSED, reason

    # --- who is away, and who may stay open -----------------------------------------------------

    def _budget(self) -> Budget:
        """With everybody away who is not merely open: they count first, they cannot be undone."""
        seen = self.seen
        away = dict(seen.away)
        for row in self._in_state(UPDATING, FAILED):
            if self._machine(row).is_member:
                away[row.machine_id] = self._machine(row).member
        return Budget(seen.rules.limits, seen.total, seen.domain_sizes, away, self._control_plane())

    def _control_plane(self) -> ControlPlane:
        """As seen, with what this step found out about this rollout's own members."""
        plane = self.seen.control_plane
        mine = {
            row.machine_id
            for row in self._in_state(UPDATING, FAILED)
            if self._machine(row).member.is_control_plane
        }
        return replace(plane, available=plane.available - mine, moving=plane.moving | mine)

    def _keep_or_close_open(self, budget: Budget) -> None:
        """An open machine that has taken no slot has not begun: it can still be called back."""
        for row in self._in_state(OPEN):
            machine = self._machine(row)
            if not self.seen.rules.has_slots:
                budget.keep(machine.member)
            elif machine.why_not or budget.take(machine.member):
                self._close(row)

    def _close(self, row: Row) -> None:
        self.rows[row.machine_id] = replace(
            row, state=WAITING, opened_at=None, ready_at=None, deadline_at=None
        )
        self.decision.to_close.append(row.machine_id)

    # --- who goes next --------------------------------------------------------------------------

    def _why_hold(self) -> str:
        """Why nothing moves, whichever machine it is; the first reason that counts."""
        state = self.decision.state
        if state == READY:
            return "the rollout waits for an operator to start it"
        if state == PAUSED:
            return f"the rollout is paused: {self.decision.reason}"
        return self.seen.hold or self.seen.gates

    def _advance_stage(self) -> None:
        while self.decision.stage < len(self.seen.stages) - 1:
            self.decision.stage_hold = self._why_stage_waits()
            if self.decision.stage_hold:
                return
            self.decision.stage += 1

    def _why_stage_waits(self) -> str:
        """Why the next stage does not begin yet; "" when it does."""
        number = self.decision.stage
        stage, following = self.seen.stages[number], self.seen.stages[number + 1]
        left = sum(
            1
            for row in self._in_state(*UNFINISHED_STATES, FAILED)
            if row.stage <= number and self._holds_up(row, is_strict=stage.is_canary)
        )
        if left:
            waits_for = counted(left, "machine that is", "machines that are")
            return f"stage {number + 1} has {waits_for} not done"
        until = self._soaked_at(number)
        if until and self.now < until:
            return f"stage {number + 1} soaks until {until:%Y-%m-%d %H:%M:%S} UTC"
        if following.needs_confirmation and self.seen.confirmed_stage <= number:
            return f"stage {number + 2} waits for an operator's confirmation"
        return ""

    def _soaked_at(self, number: int) -> datetime | None:
        moments = [
            row.finished_at
            for row in self._in_state(DONE, SKIPPED, FAILED)
            if row.stage == number and row.finished_at
        ]
        if number in self.seen.finished:
            moments.append(self.seen.finished[number].last_at)
        soak = timedelta(seconds=self.seen.stages[number].soak_seconds)
        return max(moments) + soak if moments and soak else None

    def _holds_up(self, row: Row, *, is_strict: bool) -> bool:
        """True when others wait for this machine. One that cannot change now (it is silent, in
        maintenance, blocked) holds up nobody, unless `is_strict`; a failed one below the
        threshold neither."""
        if row.state == FAILED:
            return is_strict
        if row.state == WAITING and not is_strict:
            return not self._machine(row).why_not
        return row.state in UNFINISHED_STATES

    def _open_further(self, budget: Budget) -> None:
        is_first_wave_over = not any(
            self._holds_up(row, is_strict=self.seen.is_strict)
            for row in self._in_state(*UNFINISHED_STATES, FAILED)
            if row.wave == 0
        )
        for row in self._in_state(WAITING):
            machine = self._machine(row)
            if row.machine_id in self.decision.to_close:
                continue
            if not machine.is_in_service:
                self._move(row, NOT_INSTALLED)
                continue
            why = self._why_not_its_turn(row, machine, is_first_wave_over) or machine.why_not
            if why:
                self.decision.refused[row.machine_id] = why
            elif machine.is_applied_by_itself:
                self._move(row, BY_ITSELF)
            else:
                refusal = budget.take(machine.member)
                if not refusal:
                    self._open(row)
                    continue
                self.decision.refused[row.machine_id] = refusal
                if budget.is_full:
                    break

    def _why_not_its_turn(self, row: Row, machine: Machine, is_first_wave_over: bool) -> str:
        if row.stage > self.decision.stage:
            return self.decision.stage_hold or f"stage {row.stage + 1} has not begun"
        if row.wave > 0 and not is_first_wave_over:
            first = "control plane" if self.seen.order == CONTROL_PLANE_FIRST else "workers"
            return f"the {first} of this rollout go first"
        return self.seen.peers.get(machine.member.is_control_plane, "")

    def _open(self, row: Row) -> None:
        self.rows[row.machine_id] = replace(row, state=OPEN, opened_at=self.now, reason="")
        self.decision.to_open.append(row.machine_id)

    def _move(self, row: Row, reason: str) -> None:
        """The config changes and no machine goes away for it."""
        self._finish(replace(row, opened_at=self.now), DONE, reason)
        self.decision.to_open.append(row.machine_id)

    # --- deadlines and the end ------------------------------------------------------------------

    def _set_deadlines(self) -> None:
        """The time to begin runs only while an open machine may begin."""
        for row in self._in_state(OPEN):
            if not self.decision.may_move:
                deadline = None
            else:
                deadline = row.deadline_at or self.now + self.seen.rules.return_time
            if deadline != row.deadline_at and not row.ready_at:
                self.rows[row.machine_id] = replace(row, deadline_at=deadline)

    def _complete(self) -> None:
        if self.decision.state not in (RUNNING, PAUSED) or any(self._in_state(*UNFINISHED_STATES)):
            return
        failed = sum(1 for _ in self._in_state(FAILED))
        if failed and self.decision.state == PAUSED:
            return
        self.decision.state = COMPLETED
        self.decision.reason = f"{counted(failed, 'machine')} failed" if failed else ""


def _duration(length: timedelta) -> str:
    seconds = int(length.total_seconds())
    return f"{seconds // 60} min" if seconds >= 120 else f"{seconds} s"
