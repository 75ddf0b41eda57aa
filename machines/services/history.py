"""Events, and the pruning of everything that only grows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from django.db import models
from django.utils import timezone

from machines.models import (
    ConflictKind,
    Event,
    EventLevel,
    Machine,
    MachineConflict,
    StateChange,
    UnknownBoot,
)
from machines.text import one_line

logger = logging.getLogger(__name__)
_LOG_LEVELS: dict[str, int] = {
    EventLevel.INFO: logging.INFO,
    EventLevel.WARNING: logging.WARNING,
    EventLevel.ERROR: logging.ERROR,
}
PRUNE_BATCH = 500
Mute = Callable[[int], bool]
_mutes: list[Mute] = []


def add_mute(mute: Mute) -> None:
    """Let an app above mute machines: while `mute(machine_id)` is true their warnings and errors
    are kept as plain events. It is asked at a warning only. Adding one twice is adding it once."""
    if mute not in _mutes:
        _mutes.append(mute)


def remove_mute(mute: Mute) -> None:
    """Take it out again."""
    _mutes.remove(mute)


def record_event(
    *,
    kind: str,
    message: str,
    machine: Machine | None = None,
    level: str = EventLevel.INFO,
    actor: str = "",
) -> Event:
    """Write one line of the timeline (and of the log); texts are made one line and cut to fit."""
    message = one_line(message, 500)
    if level != EventLevel.INFO and machine and any(mute(machine.pk) for mute in _mutes):
        level = EventLevel.INFO
    logger.log(
        _LOG_LEVELS[level], "%s: %s (machine %s)", kind, message, machine.uuid if machine else "-"
    )
    return Event.objects.create(
        machine=machine,
        kind=one_line(kind, 48),
        level=level,
        message=message,
        actor=one_line(actor, 150),
        at=timezone.now(),
    )


def record_events(
    *, kind: str, messages: Mapping[int, str], level: str = EventLevel.INFO, actor: str = ""
) -> None:
    """Write one line of the timeline for each machine id in `messages`, in bulk."""
    now = timezone.now()
    Event.objects.bulk_create(
        Event(
            machine_id=machine_id,
            kind=one_line(kind, 48),
            level=level,
            message=one_line(message, 500),
            actor=one_line(actor, 150),
            at=now,
        )
        for machine_id, message in messages.items()
    )
    logger.log(_LOG_LEVELS[level], "%s: %d machines", kind, len(messages))


def prune_history(*, before: datetime) -> int:
    """Delete events, state changes, unknown boots and query mismatches older than `before`.

    Works in small batches, so that nobody waits long for a write. Returns the rows deleted.
    """
    mismatches = MachineConflict.objects.filter(
        kind=ConflictKind.QUERY_MISMATCH, seen_at__lt=before
    )
    return sum(
        _delete_in_batches(rows)
        for rows in (
            Event.objects.filter(at__lt=before),
            StateChange.objects.filter(at__lt=before),
            UnknownBoot.objects.filter(last_at__lt=before),
            mismatches,
        )
    )


def _delete_in_batches(rows: models.QuerySet[Any]) -> int:
    return sum(rows.model._default_manager.filter(pk__in=keys).delete()[0] for keys in _keys(rows))


def _keys(rows: models.QuerySet[Any]) -> Iterator[list[int]]:
    while keys := list(rows.order_by("pk").values_list("pk", flat=True)[:PRUNE_BATCH]):
        yield keys
