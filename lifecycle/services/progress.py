"""Keeping what agents say: a row for each machine and verb, and a little of its timeline."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from lifecycle.models import AgentProgress
from lifecycle.progress import BAD_STEPS, Said, plausible_since
from lifecycle.services.removed import unknown_when_removed
from machines.models import Event, EventLevel, Machine
from machines.services import record_event

EVENT_KIND = "agent"
EVENTS_AN_HOUR = 20
"""Of one machine, whatever its verbs. What is not told now is told with the next word, if it still
differs: an agent that flaps fills nobody's timeline."""


def record_progress(*, machine: Machine, said: Said, now: datetime | None = None) -> None:
    """Keep the newest word of a machine's agent; a new kind of step or reason is an event.

    Raises UnknownMachine when the machine was removed in the meantime.
    """
    now = now or timezone.now()
    rows = AgentProgress.objects.filter(machine=machine, verb=said.verb)
    before = rows.first()
    with unknown_when_removed(machine.pk):
        _keep(rows, before, machine, said, now)
        told = before.told if before else ""
        if told != said.kind and _has_room(machine, now):
            _tell(rows.filter(told=told), machine, said)


def _keep(
    rows: QuerySet[AgentProgress],
    before: AgentProgress | None,
    machine: Machine,
    said: Said,
    now: datetime,
) -> None:
    changes = {
        "step": said.step,
        "reason": said.reason,
        "since_at": _since(before, said, now),
        "seen_at": now,
        "boot_id": said.boot_id,
        "agent_version": said.version,
    }
    if before and rows.update(**changes):
        return
    AgentProgress.objects.bulk_create(
        [AgentProgress(machine=machine, verb=said.verb, **changes)],
        update_conflicts=True,
        unique_fields=["machine", "verb"],
        update_fields=list(changes),
    )


def _since(before: AgentProgress | None, said: Said, now: datetime) -> datetime:
    """A clock that cannot be right must not make an old wait a new one at each word."""
    since = plausible_since(said.since, now)
    is_same = before and (before.step, before.reason) == (said.step, said.reason)
    return before.since_at if before and is_same and since == now else since


def _has_room(machine: Machine, now: datetime) -> bool:
    # What is later than now was told before the clock stepped back.
    hour = (now - timedelta(hours=1), now + timedelta(hours=1))
    recent = Event.objects.filter(machine=machine, kind=EVENT_KIND, at__range=hour)
    return recent[:EVENTS_AN_HOUR].count() < EVENTS_AN_HOUR


def _tell(unchanged: QuerySet[AgentProgress], machine: Machine, said: Said) -> None:
    """By compare-and-swap: of two requests at once one writes the event."""
    level = EventLevel.WARNING if said.step in BAD_STEPS else EventLevel.INFO
    with transaction.atomic():
        if unchanged.update(told=said.kind):
            record_event(kind=EVENT_KIND, message=said.sentence, machine=machine, level=level)
