"""A rollout's next step: read, decide, write by compare-and-swap. Any worker may, or several."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime

from django.db import DatabaseError
from django.db.models import F, QuerySet
from django.utils import timezone

from enjoliver.common.passes import Pieces
from lifecycle.models import AgentProgress, RollingPolicy, Rollout, Slot
from lifecycle.rules.decide import decide
from lifecycle.rules.rollout import Decision, Row, Snapshot
from lifecycle.rules.states import (
    ACTIVE_STATES,
    COMPLETED,
    FAILED,
    PAUSED,
    ROW_STATES,
    RUNNING,
    WAITING,
)
from lifecycle.services.clocks import LostRace, changing, clock_of, look_at_clock
from lifecycle.services.leases import mark_lost, watch_leases
from lifecycle.services.making import BATCH, ensure_rollouts
from lifecycle.services.membership import refresh_members_when_due
from lifecycle.services.moves import ENGINE, pause_by_engine, send_back
from lifecycle.services.snapshot import read_snapshot
from machines.models import BootJournal
from machines.services import record_event
from machines.services.journals import journal_lines
from machines.text import one_line
from matchbox_sync.models import DesiredConfig
from matchbox_sync.services import assign_revisions
from scheduling.models import Cluster

_TRIES = 5
_SHOWN_LINES = 10


def advance_rollouts(*, now: datetime | None = None) -> None:
    """Take everything a step further: all clusters that have a policy, or a rollout still."""
    policies = RollingPolicy.objects.order_by().values("cluster_id")
    active = Rollout.objects.filter(state__in=ACTIVE_STATES).order_by().values("cluster_id")
    pieces = Pieces()
    for cluster in Cluster.objects.filter(pk__in=policies.union(active)).order_by("pk"):
        with pieces.piece():
            advance_cluster(cluster=cluster, now=now)
    pieces.finish()


def advance_cluster(*, cluster: Cluster, now: datetime | None = None) -> None:
    """Find out who belongs to which policy, make the rollouts that are missing, watch the slots,
    and take each active rollout a step further.

    What fails stops nothing else, and is raised at the end; a rollout says it as well.
    """
    now = now or timezone.now()
    look_at_clock(cluster, now)
    pieces, lost = Pieces(), list[Slot]()
    with pieces.piece():
        refresh_members_when_due(cluster_id=cluster.pk, now=now)
    with pieces.piece():
        ensure_rollouts(cluster=cluster, now=now)
    with pieces.piece():
        lost += watch_leases(cluster=cluster, now=now)
    rollouts = Rollout.objects.filter(cluster=cluster, state__in=ACTIVE_STATES)
    for pk in rollouts.order_by("pk").values_list("pk", flat=True):
        with pieces.piece(), _failure_noted(pk):
            advance_rollout(rollout_id=pk, now=now)
    with pieces.piece():
        _pause_for([*lost, *_not_paused_for(cluster, now)], now)
    pieces.finish()


@contextmanager
def _failure_noted(rollout_id: int) -> Iterator[None]:
    """A step that fails is why nothing moves; the next one that does not takes the words away."""
    try:
        yield
    except Exception as error:
        text = one_line(f"its next step fails: {type(error).__name__}: {error}", 500)
        with suppress(DatabaseError):
            Rollout.objects.filter(pk=rollout_id).exclude(hold=text).update(hold=text)
        raise


def _not_paused_for(cluster: Cluster, now: datetime) -> QuerySet[Slot]:
    """Slots that were found lost since their running rollout last changed: a worker that was killed
    just after it found them has left the pause to us."""
    running = "group__policy__rollouts__"
    return Slot.objects.filter(
        group__policy__cluster=cluster,
        lost_at__lte=now,  # else the clock stepped back
        **{f"{running}state": RUNNING, f"{running}changed_at__lt": F("lost_at")},
    ).select_related("group", "machine")


def _pause_for(lost: Sequence[Slot], now: datetime) -> None:
    """A holder that is lost pauses its policy's rollout, also when an earlier one let it go."""
    for slot in lost:
        name = slot.machine.boot_mac if slot.machine else slot.holder
        pause_by_engine(
            policy_id=slot.group.policy_id,
            reason=f"{name}: it holds a slot of group {slot.group.name} and did not come back",
            now=now,
        )


def advance_rollout(*, rollout_id: int, now: datetime | None = None) -> Decision | None:
    """One step of one rollout; None when it has ended or went, or when others changed it at each
    try (the next beat goes on). A constant number of queries but for what changes."""
    now = now or timezone.now()
    for _ in range(_TRIES):
        rollouts = Rollout.objects.select_related("policy__cluster", "revision")
        rollout = rollouts.filter(pk=rollout_id).first()
        if rollout is None or not rollout.is_active or rollout.policy is None:
            return None
        clock = clock_of(rollout.cluster_id)
        seen = read_snapshot(rollout, rollout.policy, now)
        decision = decide(seen)
        if not _changes(rollout, decision):
            return decision
        try:
            with changing(clock, rollout):
                _apply(rollout, seen, decision, now)
        except LostRace:
            continue
        return decision
    return None


def _changes(rollout: Rollout, decision: Decision) -> bool:
    """Whether the step writes anything: most of them find everything as it was."""
    return bool(decision.rows) or _state_of(decision) != {
        name: getattr(rollout, name) for name in _state_of(decision)
    }


def _state_of(decision: Decision) -> dict[str, object]:
    return {
        "state": decision.state,
        "reason": decision.reason[:500],
        "stage": decision.stage,
        "hold": (decision.hold or decision.stage_hold)[:500],
        "gates_failing_since": decision.gates_failing_since,
    }


def _apply(rollout: Rollout, seen: Snapshot, decision: Decision, now: datetime) -> None:
    before = {row.machine_id: row for row in seen.rows}
    # Slots before places: whoever gives a slot back locks them in this order.
    mark_lost(decision.lost, now)
    _write_rows(rollout, before, decision.rows)
    _open(rollout, decision.to_open)
    _close(rollout, decision.to_close)
    changes = _state_of(decision)
    if decision.state != rollout.state:
        changes["changed_at"] = now
        _tell(rollout, seen, decision, changes)
    if decision.state == COMPLETED:
        changes["ended_at"] = now
    Rollout.objects.filter(pk=rollout.pk).update(**changes)


def _write_rows(rollout: Rollout, before: dict[int, Row], rows: dict[int, Row]) -> None:
    """Machines with equal changes together: a thousand that are opened are one statement. A place
    that somebody else changed meanwhile (a slot was taken) stays as it is."""
    groups: dict[Row, list[int]] = defaultdict(list)
    states: dict[Row, str] = {}
    for machine_id, row in rows.items():
        old = before[machine_id]
        key = _without_place(row, old)
        groups[key].append(machine_id)
        states[key] = old.state
    for key, machine_ids in groups.items():
        for start in range(0, len(machine_ids), BATCH):
            rollout.machines.filter(
                machine_id__in=machine_ids[start : start + BATCH], state=states[key]
            ).update(
                state=key.state,
                reason=key.reason[:500],
                opened_at=key.opened_at,
                updating_at=key.updating_at,
                returned_at=key.returned_at,
                ready_at=key.ready_at,
                deadline_at=key.deadline_at,
                finished_at=key.finished_at,
            )


def _without_place(row: Row, old: Row) -> Row:
    """What several machines may share. The former state is kept apart in `wave`: two machines that
    end alike may have begun differently."""
    return replace(row, machine_id=0, position=0, stage=0, wave=_STATE_NUMBERS[old.state])


_STATE_NUMBERS = {state: number for number, state in enumerate(ROW_STATES)}


def _open(rollout: Rollout, machine_ids: Sequence[int]) -> None:
    """The desired config is the rollout's from now on; where from is kept for the way back."""
    if not machine_ids:
        return
    numbers: dict[int, list[int]] = defaultdict(list)
    for start in range(0, len(machine_ids), BATCH):
        rows = DesiredConfig.objects.filter(pk__in=machine_ids[start : start + BATCH])
        for machine_id, number in rows.values_list("pk", "config__revision__number"):
            numbers[number].append(machine_id)
    for number, ids in numbers.items():
        for start in range(0, len(ids), BATCH):
            rollout.machines.filter(machine_id__in=ids[start : start + BATCH]).update(
                from_number=number
            )
    assign_revisions(machine_ids=machine_ids, actor=ENGINE, revision=rollout.revision)


def _close(rollout: Rollout, machine_ids: Sequence[int]) -> None:
    """Only those that really are waiting again: one may have taken its slot since."""
    if machine_ids:
        rows = rollout.machines.filter(machine_id__in=machine_ids, state=WAITING)
        send_back(rollout, list(rows), ENGINE)


# --- what people are told ------------------------------------------------------------------------


def _tell(rollout: Rollout, seen: Snapshot, decision: Decision, changes: dict[str, object]) -> None:
    if decision.state == PAUSED:
        changes["details"] = _last_words(rollout, seen, decision)
    text = f": {decision.reason}" if decision.reason else ""
    record_event(
        kind=f"rollout_{decision.state}",
        level="error" if decision.state == PAUSED else "info",
        message=f"{rollout} is {decision.state}{text}",
    )


def _last_words(rollout: Rollout, seen: Snapshot, decision: Decision) -> str:
    """What the first machine that failed just now said last, and when: its agent, and its newest
    boot. What is older than the rollout says nothing about it, and is marked."""
    failed = [pk for pk, row in decision.rows.items() if row.state == FAILED]
    if not failed:
        return ""
    machine_id, lines = failed[0], []
    for word in AgentProgress.objects.filter(machine_id=machine_id).order_by("-seen_at")[:3]:
        lines.append(f"agent, {_when(word.seen_at, rollout)}: {word}")
    journal = BootJournal.objects.filter(machine_id=machine_id).first()
    if journal:
        lines.append(f"journal of {journal}, {_when(journal.created_at, rollout)}:")
        lines += journal_lines(journal)[-_SHOWN_LINES:]
    return "\n".join([seen.machines[machine_id].name, *lines])


def _when(moment: datetime, rollout: Rollout) -> str:
    is_older = moment < (rollout.started_at or rollout.created_at)
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC{', before this rollout began' if is_older else ''}"
