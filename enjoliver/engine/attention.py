"""What goes on and what waits for somebody, for the console's first page: seven queries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Model
from django.urls import reverse
from django.utils import timezone

from enjoliver.common.words import counted
from lifecycle.maintained import present_maintenance
from lifecycle.models import (
    Freeze,
    IgnitionReport,
    Maintenance,
    Replacement,
    ReplacementState,
    Rollout,
    Slot,
    SlotPhase,
)
from lifecycle.reads import unruled_reports
from lifecycle.rolloutdocs import counted_rollouts
from lifecycle.rules.states import ACTIVE_STATES, DONE, PAUSED, READY, ROW_STATES, RUNNING, SKIPPED
from lifecycle.services import freezes_in_force
from matchbox_sync.models import ChangeState, PendingChange

SHOWN = 5
"""Of each kind, one by one; of the others only how many there are."""
_COLOURS = {PAUSED: "danger", READY: "warning"}


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing: a word with a colour, a sentence, and the page where it is seen or decided."""

    word: str
    sentence: str
    href: str
    variant: str = "info"


def notices() -> list[Notice]:
    """Everything, what waits for a decision first."""
    return [
        *_pending_changes(),
        *_without_a_rule(),
        *_lost_slots(),
        *_rollouts(),
        *_replacements(),
        *_freezes(),
        *_maintenance(),
    ]


def _pending_changes() -> Iterator[Notice]:
    """Those to decide on, and those rejected that templates or values still say."""
    rows = list(PendingChange.objects.filter(closed_at=None).order_by("-pk").values("pk", "state"))
    for state, word, one, many, variant in (
        (
            ChangeState.WAITING,
            "to approve",
            "change waits for approval: nothing of it is published",
            "changes wait for approval: nothing of them is published",
            "warning",
        ),
        (
            ChangeState.REJECTED,
            "rejected",
            "rejected change is still in templates or values, and holds back what is added",
            "rejected changes are still in templates or values, and hold back what is added",
            "default",
        ),
    ):
        found = [row["pk"] for row in rows if row["state"] == state]
        if found:
            lone = found[0] if len(found) == 1 else None
            query = f"state__exact={state}&closed_at__isempty=1"
            href = _page(PendingChange, lone, query)
            yield Notice(word, f"{counted(len(found), one, many)}.", href, variant)


def _without_a_rule() -> Iterator[Notice]:
    """Outdated machines that nothing lets change: as after a first install without policies."""
    number = unruled_reports().count()
    if number:
        said = counted(number, "outdated machine has", "outdated machines have")
        sentence = f"{said} neither a rolling policy nor a strategy: make one, or nothing changes."
        href = _page(IgnitionReport, None, "verdict=outdated")
        yield Notice("outdated", sentence, href, "warning")


def _lost_slots() -> Iterator[Notice]:
    number = Slot.objects.filter(phase=SlotPhase.LOST).count()
    if number:
        said = counted(number, "holder of an update slot", "holders of update slots")
        sentence = f"{said} did not come back: bring it back, or release the slot with a reason."
        yield Notice("lost", sentence, _page(Slot, None, "phase__exact=lost"), "danger")


def _rollouts() -> Iterator[Notice]:
    """What changes machines now, or would."""
    active = list(counted_rollouts().filter(state__in=ACTIVE_STATES).order_by("state", "-pk"))
    for rollout in sorted(active, key=lambda row: row.state not in _COLOURS)[:SHOWN]:
        variant = _COLOURS.get(rollout.state, "info")
        href = _page(Rollout, rollout.pk)
        yield Notice(rollout.state, f"{_progress(rollout)}.", href, variant)
    if len(active) > SHOWN:
        more = counted(len(active) - SHOWN, "more rollout is", "more rollouts are")
        yield Notice("rollouts", f"{more} active.", _page(Rollout))


def _progress(rollout: Any) -> str:
    counts = {state: getattr(rollout, f"count_{state}") for state in ROW_STATES}
    done = f"{counts[DONE]} of {counted(sum(counts.values()), 'machine')} done"
    left_out = f", {counts[SKIPPED]} left out" if counts[SKIPPED] else ""
    why = _waits_for_somebody(rollout, counts) or rollout.reason or rollout.hold
    return f"{rollout}: {done}{left_out}" + (f"; {why}" if why else "")


def _waits_for_somebody(rollout: Rollout, counts: dict[str, int]) -> str:
    """What an operator must say before it goes on; "" when nothing."""
    if rollout.state == READY:
        return "it waits for an operator to start it"
    following = rollout.stage + 1
    if rollout.state != RUNNING or following >= len(rollout.stages):
        return ""
    asks = rollout.stages[following]["needs_confirmation"] and rollout.confirmed_stage < following
    is_done = counts[DONE] + counts[SKIPPED] >= rollout.stages[rollout.stage]["up_to"]
    return f"stage {following + 1} waits for an operator's confirmation" if asks and is_done else ""


def _replacements() -> Iterator[Notice]:
    for row in Replacement.objects.filter(state=ReplacementState.RUNNING)[:SHOWN]:
        waits = f", waits: {row.waits_for}" if row.waits_for else ""
        sentence = f"{row}: {row.get_step_display()}{waits}."
        yield Notice("replacement", sentence, _page(Replacement, row.pk))


def _freezes() -> Iterator[Notice]:
    rows = freezes_in_force(timezone.now()).select_related("cluster", "policy")
    for row in rows.order_by("pk")[:SHOWN]:
        until = f" until {row.ends_at:%Y-%m-%d %H:%M} UTC" if row.ends_at else ""
        sentence = f"A freeze of {row.scope} by {row.created_by}{until}: {row.reason}."
        yield Notice("frozen", sentence, _page(Freeze, row.pk), "warning")


def _maintenance() -> Iterator[Notice]:
    number = present_maintenance(timezone.now()).count()
    if number:
        sentence = f"{counted(number, 'machine is', 'machines are')} in maintenance."
        yield Notice("maintenance", sentence, _page(Maintenance))


def _page(model: type[Model], pk: int | None = None, query: str = "") -> str:
    """Of one row, or the list."""
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    if pk is not None:
        return reverse(f"{name}_change", args=[pk])
    return reverse(f"{name}_changelist") + (f"?{query}" if query else "")
