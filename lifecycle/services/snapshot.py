"""Everything that a step of a rollout depends on, read in a constant number of queries."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Count, Max

from lifecycle.maintained import maintenance_machine_ids
from lifecycle.models import AgentProgress, MachineStrategy, RollingPolicy, Rollout, Slot
from lifecycle.progress import BAD_STEPS
from lifecycle.rules.amounts import Amount
from lifecycle.rules.budget import Member
from lifecycle.rules.decide import decide
from lifecycle.rules.rollout import Decision, FinishedStage, Machine, Row, Rules, Snapshot
from lifecycle.rules.stages import Stage
from lifecycle.rules.states import (
    DONE,
    FAILED,
    NO_STRATEGY,
    OPEN,
    POWEROFF,
    SKIPPED,
    UPDATING,
    WAITING,
)
from lifecycle.services.away import (
    domain_sizes,
    in_service,
    read_away,
    read_control_plane,
)
from lifecycle.services.currency import as_flag, runs_desired
from lifecycle.services.holds import gates_reason, hold_reason
from lifecycle.services.peers import read_peers
from machines.states import State

_PLACE = (
    "machine_id",
    "position",
    "stage",
    "wave",
    "state",
    "reason",
    "opened_at",
    "updating_at",
    "returned_at",
    "ready_at",
    "deadline_at",
    "finished_at",
)
_MEMBER = (
    "machine__policy_member__policy_id",
    "machine__policy_member__domain",
    "machine__policy_member__is_control_plane",
    "machine__assignment__fqdn",
    "machine__boot_mac",
)
_NOW = ("machine__ignition_report__reported_at", "is_current", "machine__state")


@dataclass(frozen=True, slots=True)
class _Slot:
    """A held slot, as far as a rollout minds."""

    is_lost: bool
    may_be_off: bool


def rules_of(policy: RollingPolicy) -> Rules:
    """The policy's present rules for a step."""
    return Rules(
        limits=policy.limits,
        failure_threshold=Amount.read(policy.failure_threshold),
        return_time=timedelta(seconds=policy.return_seconds),
        settle_time=timedelta(seconds=policy.settle_seconds),
        gate_patience=timedelta(seconds=policy.gate_seconds),
        has_slots=not settings.FLEETLOCK_URL,
    )


def read_snapshot(rollout: Rollout, policy: RollingPolicy, now: datetime) -> Snapshot:
    """What `decide` looks at, for a rollout of `policy` (with its cluster loaded)."""
    return _Reader(rollout, policy, now).read()


def look_ahead(rollout: Rollout, policy: RollingPolicy, now: datetime) -> tuple[Snapshot, Decision]:
    """The snapshot and what the next step would be; nothing is changed."""
    seen = read_snapshot(rollout, policy, now)
    return seen, decide(seen)


class _Reader:
    """One read; each method is one part of the snapshot.

    Of machines that wait, most of a fleet, only what decides on their turn is read.
    """

    def __init__(self, rollout: Rollout, policy: RollingPolicy, now: datetime) -> None:
        self.rollout, self.policy, self.now = rollout, policy, now
        self.away = read_away(policy, now, except_rollout=rollout.pk)
        self.maintenance = maintenance_machine_ids(now=now)
        self.slots = self._read_slots()
        self.problems = self._read_problems()
        own = MachineStrategy.objects.filter(machine__policy_member__policy=policy).order_by()
        self.blocked = set(own.filter(is_enabled=False).values_list("pk", flat=True))
        is_none = policy.strategy == NO_STRATEGY
        self.restarts = (
            set(own.filter(is_enabled=True).values_list("pk", flat=True)) if is_none else ()
        )

    def read(self) -> Snapshot:
        rollout, policy, now = self.rollout, self.policy, self.now
        rows, machines = self._read_places()
        return Snapshot(
            now=now,
            state=rollout.state,
            reason=rollout.reason,
            rules=rules_of(policy),
            stages=[Stage(**stage) for stage in rollout.stages],
            stage=rollout.stage,
            confirmed_stage=rollout.confirmed_stage,
            order=rollout.order,
            row_count=rollout.machines.count(),
            rows=rows,
            machines=machines,
            finished=self._read_finished(),
            total=in_service(policy.pk).count(),
            domain_sizes=domain_sizes(policy),
            away={pk: one.member for pk, one in self.away.items()},
            control_plane=read_control_plane(
                policy.cluster, policy.silent_seconds, now, except_rollout=rollout.pk
            ),
            hold=hold_reason(policy, now),
            gates=gates_reason(policy.pk, now),
            gates_failing_since=rollout.gates_failing_since,
            peers=read_peers(rollout, policy, now),
        )

    def _read_places(self) -> tuple[list[Row], dict[int, Machine]]:
        rows, machines = [], {}
        places = self.rollout.machines.order_by("position")
        busy = places.filter(state__in=(OPEN, UPDATING, FAILED))
        busy = busy.annotate(is_current=as_flag(runs_desired()))
        for values in busy.values_list(*_PLACE, *_MEMBER, *_NOW):
            row = Row(*values[: len(_PLACE)])
            rows.append(row)
            machines[row.machine_id] = self._busy(row, *values[len(_PLACE) :])
        waiting = places.filter(state=WAITING).values_list(
            *_PLACE[:4], *_MEMBER, "machine__ignition_report__machine_id"
        )
        for machine_id, position, stage, wave, *member, report in waiting:
            rows.append(Row(machine_id, position, stage, wave))
            machines[machine_id] = self._waiting(machine_id, report is not None, *member)
        rows.sort(key=lambda row: row.position)
        return rows, machines

    def _waiting(
        self,
        machine_id: int,
        is_in_service: bool,
        policy_id: int | None,
        domain: str | None,
        is_control_plane: bool | None,
        fqdn: str | None,
        mac: str,
    ) -> Machine:
        known = self.away.get(machine_id)
        why_away = known.reason if known else ""
        return Machine(
            member=Member(machine_id, domain or "", bool(is_control_plane)),
            name=fqdn or mac,
            is_member=policy_id == self.policy.pk,
            is_in_service=is_in_service,
            why_away=why_away,
            why_not=why_away or self._why_not(machine_id),
            has_slot=machine_id in self.slots,
            is_applied_by_itself=self.policy.strategy == NO_STRATEGY
            and machine_id not in self.restarts,
        )

    def _busy(
        self,
        row: Row,
        policy_id: int | None,
        domain: str | None,
        is_control_plane: bool | None,
        fqdn: str | None,
        mac: str,
        reported_at: datetime | None,
        is_current: bool,
        state: str,
    ) -> Machine:
        member = (policy_id, domain, is_control_plane, fqdn, mac)
        found = self._waiting(row.machine_id, reported_at is not None, *member)
        slot = self.slots.get(row.machine_id)
        return replace(
            found,
            is_current=bool(is_current) and reported_at is not None,
            reported_at=reported_at,
            is_slot_lost=slot is not None and slot.is_lost,
            may_be_off=slot is not None and slot.may_be_off,
            install_failed=state == State.INSTALL_FAILED,
            problem=self._problem(row),
        )

    def _why_not(self, machine_id: int) -> str:
        """Also of machines that are no members any more, who are in nobody's list."""
        if machine_id in self.blocked:
            return "blocked by an operator: its strategy is disabled"
        if machine_id in self.maintenance:
            return "it is in maintenance"
        return "it holds a slot" if machine_id in self.slots else ""

    def _read_slots(self) -> dict[int, _Slot]:
        rows = Slot.objects.filter(machine__isnull=False).order_by()
        found = rows.values_list("machine_id", "lost_at", "strategy")
        return {
            machine_id: _Slot(lost_at is not None, strategy == POWEROFF)
            for machine_id, lost_at, strategy in found
            if machine_id is not None
        }

    def _read_problems(self) -> dict[int, tuple[str, datetime]]:
        """What agents of updating machines say that went wrong, and since when."""
        mine = self.rollout.machines.filter(state=UPDATING)
        rows = AgentProgress.objects.filter(
            machine__in=mine.values("machine_id"),
            verb__in=("report", "ready"),
            step__in=sorted(BAD_STEPS),
        ).order_by("verb")
        found = rows.values_list("machine_id", "step", "reason", "since_at")
        return {pk: (f"{step}: {reason}".rstrip(": "), at) for pk, step, reason, at in found}

    def _problem(self, row: Row) -> str:
        """Only what it said since it began: the failure of an earlier try is history."""
        said = self.problems.get(row.machine_id)
        since = row.updating_at
        return said[0] if said and since and said[1] >= since else ""

    def _read_finished(self) -> dict[int, FinishedStage]:
        rows = (
            self.rollout.machines.filter(state__in=(DONE, SKIPPED), finished_at__isnull=False)
            .order_by()
            .values("stage")
            .annotate(number=Count("pk"), last_at=Max("finished_at"))
        )
        return {row["stage"]: FinishedStage(row["number"], row["last_at"]) for row in rows}
