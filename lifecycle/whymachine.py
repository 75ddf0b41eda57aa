"""Why a machine does nothing: asked in the order in which a machine lives.

Has it a role, a config, is it installed, does it report, is there anything to do, and if so, what
is in the way?
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from django.utils import timezone

from enjoliver.common.words import counted
from lifecycle.answers import Answer, shown
from lifecycle.maintained import maintenance_machine_ids
from lifecycle.models import (
    AgentProgress,
    IgnitionReport,
    InstallAttempt,
    InstallOutcome,
    InstallWaiter,
    RolloutMachine,
    Slot,
)
from lifecycle.rules.states import OPEN, PAUSED, READY, WAITING
from lifecycle.services import policy_of, read_leave
from lifecycle.services.leave import active_place
from lifecycle.services.snapshot import look_ahead
from machines.models import Machine
from matchbox_sync.models import ChangeState, DesiredConfig, PendingChange, Problem
from scheduling.models import Assignment, Waiting

QUIET = timedelta(minutes=5)


def why_machine(machine: Machine, *, now: datetime | None = None) -> Answer:
    """Why `machine` does what it does, or nothing."""
    return _About(machine, now or timezone.now()).answer()


class _About:
    """The questions about one machine; each returns a sentence, or "" when it is not the reason."""

    def __init__(self, machine: Machine, now: datetime) -> None:
        self.machine, self.now = machine, now
        self.assignment = Assignment.objects.filter(machine=machine).first()
        self.desired = (
            DesiredConfig.objects.select_related("config__revision", "newest__revision")
            .filter(pk=machine.pk)
            .first()
        )
        self.report = IgnitionReport.objects.filter(pk=machine.pk).first()
        self.slot = Slot.objects.select_related("group").filter(machine=machine).first()
        self.policy = policy_of(machine)
        self.place = active_place(machine, self.policy) if self.policy else None

    def answer(self) -> Answer:
        questions: tuple[Callable[[], str], ...] = (
            self._has_no_role,
            self._has_no_config,
            self._is_not_installed,
            self._never_reported,
            self._holds_a_slot,
            self._is_silent,
            self._has_nothing_to_do,
            self._is_held_back,
            self._may_not_change,
        )
        sentence = next((text for question in questions if (text := question())), "")
        return Answer(sentence or self._may_change(), self._details())

    # --- before it runs -------------------------------------------------------------------------

    def _has_no_role(self) -> str:
        if self.assignment and self.assignment.profile:
            return ""
        waiting = Waiting.objects.filter(machine=self.machine).first()
        if self.assignment:
            return "Its set of roles is not complete: give it the missing one, or take them away."
        reason = waiting.reason if waiting else "the scheduler has not looked at it yet"
        return f"It has no role: {reason}."

    def _has_no_config(self) -> str:
        if self.desired:
            return ""
        assert self.assignment is not None  # noqa: S101 - `_has_no_role` is asked first
        problems = Problem.objects.filter(cluster=self.assignment.cluster)
        mine = problems.filter(machine=self.machine).first()
        of_profile = problems.filter(machine=None, profile=self.assignment.profile).first()
        found = mine or of_profile
        if found:
            return f"Its config cannot be made ({found.stage}): {found.message}"
        return "Its config has not been made yet: the next sync does it."

    def _is_not_installed(self) -> str:
        machine = self.machine
        if machine.installed_at is not None and machine.reinstall_requested_at is None:
            return ""
        attempt = InstallAttempt.objects.filter(
            machine=machine, outcome=InstallOutcome.OPEN
        ).first()
        if attempt:
            return f"It installs itself since {shown(attempt.granted_at)}."
        waiter = InstallWaiter.objects.filter(machine=machine).first()
        if waiter:
            ahead = InstallWaiter.objects.filter(gate=waiter.gate_id, pk__lt=waiter.pk).count()
            return f"It waits at the install gate, at place {ahead + 1} of the queue."
        if machine.reinstall_requested_at is not None:
            return (
                "It was asked to install again, and has not begun: it must boot from the network."
            )
        last = InstallAttempt.objects.filter(machine=machine).order_by("-pk").first()
        if last and last.outcome != InstallOutcome.SUCCEEDED:
            return f"It is not installed: its last install {last.get_outcome_display()}."
        return f"It is not installed, and does not ask to ({machine.get_state_display()})."

    def _never_reported(self) -> str:
        if self.report:
            return ""
        return f"It is installed since {shown(self.machine.installed_at)} and has not reported yet."

    # --- while it changes -----------------------------------------------------------------------

    def _holds_a_slot(self) -> str:
        slot = self.slot
        if slot is None:
            return ""
        since = f"a slot of group {slot.group.name} since {shown(slot.acquired_at)}"
        if slot.lost_at:
            return (
                f"It holds {since} and did not come back: release the slot with a reason, or "
                "bring it back."
            )
        phase = f": it is {slot.get_phase_display()}" if slot.deadline_at else ""
        return f"It holds {since}{phase}."

    def _is_silent(self) -> str:
        assert self.report is not None  # noqa: S101 - `_never_reported` is asked first
        if abs(self.now - self.report.reported_at) <= QUIET:
            return ""
        return f"It is silent: its last report came at {shown(self.report.reported_at)}."

    def _has_nothing_to_do(self) -> str:
        assert self.desired is not None  # noqa: S101 - `_has_no_config` is asked first
        if not self._runs_desired() or self.desired.config_id != self.desired.newest_id:
            return ""
        number = self.desired.config.revision.number
        return f"Nothing is to do: it runs its config of revision {number}."

    def _runs_desired(self) -> bool:
        report, desired = self.report, self.desired
        if report is None or desired is None:
            return False
        wanted = (desired.sha512, desired.canonical_sha512)
        return report.sha512 in wanted or report.canonical_sha512 == desired.canonical_sha512

    # --- what is in the way ---------------------------------------------------------------------

    def _is_held_back(self) -> str:
        """It runs what it should, and there is something newer."""
        assert self.desired is not None  # noqa: S101 - `_has_no_config` is asked first
        if not self._runs_desired():
            return ""
        newest = self.desired.newest.revision.number
        held = f"It runs revision {self.desired.config.revision.number}; revision {newest}"
        if self.policy is None:
            return f"{held} was not given to it: assign it, or wait for the next one."
        if self.place is None:
            return f"{held} waits for a rollout of policy {self.policy}{self._former()}."
        return f"{held} waits: {self._why_waiting(self.place)}."

    def _former(self) -> str:
        """Why no rollout takes it: an earlier one left it out, or none was made."""
        last = (
            RolloutMachine.objects.filter(machine=self.machine, rollout__policy=self.policy)
            .select_related("rollout")
            .order_by("-pk")
            .first()
        )
        if last is None:
            return "; none has been made yet"
        text = f" ({last.reason})" if last.reason else ""
        rollout = f"rollout {last.rollout_id}, which is {last.rollout.state}"
        return f"; in {rollout}, it was {last.state}{text}"

    def _why_waiting(self, place: RolloutMachine) -> str:
        rollout = place.rollout
        if rollout.state == READY:
            return f"rollout {rollout.pk} waits for an operator to start it"
        if rollout.state == PAUSED:
            return f"rollout {rollout.pk} is paused: {rollout.reason}"
        if place.state != WAITING or self.policy is None:
            return f"it is {place.state} in rollout {rollout.pk}"
        seen, decision = look_ahead(rollout, self.policy, self.now)
        known = seen.machines.get(self.machine.pk)
        if decision.hold:
            return decision.hold
        if known and known.why_not:
            return known.why_not
        if self.machine.pk in decision.refused:
            return decision.refused[self.machine.pk]
        if place.stage > decision.stage:
            return decision.stage_hold or f"stage {place.stage + 1} has not begun"
        ahead = sum(
            row.position < place.position for row in seen.rows if row.state in (WAITING, OPEN)
        )
        return f"{counted(ahead, 'machine')} of rollout {rollout.pk} before it"

    def _may_not_change(self) -> str:
        if self.machine.pk in maintenance_machine_ids([self.machine.pk], self.now):
            return "It is outdated, and in maintenance: nothing moves it."
        leave = read_leave(machine=self.machine, now=self.now)
        if leave is None:
            return (
                "It is outdated, and nobody allows it to change: set a strategy, or make a policy."
            )
        if leave.strategy is not None:
            return ""
        if self.place is not None and self.place.state == WAITING:
            return f"It is outdated and waits: {self._why_waiting(self.place)}."
        former = self._former() if self.policy and self.place is None else ""
        return f"It is outdated and may not change now: {leave.refusal}{former}."

    def _may_change(self) -> str:
        leave = read_leave(machine=self.machine, now=self.now)
        how = f" by {leave.strategy}, with a slot of group {leave.group}" if leave else ""
        return f"It is outdated and may change now{how}: it is for the machine to begin."

    # --- what else ------------------------------------------------------------------------------

    def _pending(self) -> list[str]:
        """Content that would change its config, and waits for somebody."""
        if self.assignment is None:
            return []
        rows = PendingChange.objects.filter(
            cluster=self.assignment.cluster_id, closed_at=None, state=ChangeState.WAITING
        )
        return [
            f"Change {row.pk} waits for approval: {row.summary}."
            for row in rows
            if self.assignment.profile in row.affected
        ]

    def _details(self) -> list[str]:
        found = []
        if self.policy:
            found.append(f"Policy: {self.policy}.")
        if self.place:
            rollout = self.place.rollout
            found.append(
                f"Rollout {rollout.pk} to revision {rollout.revision_number} is {rollout.state}; "
                f"here it is {self.place.state}, at place {self.place.position + 1}, stage "
                f"{self.place.stage + 1}."
            )
        found += self._pending()
        if self.report:
            found.append(f"Last report: {shown(self.report.reported_at)}.")
        if self.machine.pk in maintenance_machine_ids([self.machine.pk], self.now):
            found.append("It is in maintenance.")
        words = AgentProgress.objects.filter(machine=self.machine).order_by("-seen_at")[:3]
        found += [f"Its agent, {shown(word.seen_at)}: {word}" for word in words]
        return found
