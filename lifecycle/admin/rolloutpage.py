"""What the page of a rollout shows: why, stages, and the buttons that fit its state."""

from __future__ import annotations

from typing import Any

from django.db.models import Count
from django.urls import reverse

from lifecycle.models import Rollout
from lifecycle.rules.stages import Stage
from lifecycle.rules.states import ACTIVE_STATES, DONE, PAUSED, READY, RUNNING, SKIPPED
from lifecycle.why import why_rollout


def shown_rollout(rollout: Rollout, may_act: bool) -> dict[str, Any]:
    """What the template needs; a fixed number of queries."""
    rows = rollout.machines.order_by().values("stage", "state").annotate(number=Count("pk"))
    counts = {(row["stage"], row["state"]): row["number"] for row in rows}
    places = reverse("admin:lifecycle_rolloutmachine_changelist")
    return {
        "row": rollout,
        "why": why_rollout(rollout),
        "stages": [
            _stage(rollout, number, Stage(**stage), counts)
            for number, stage in enumerate(rollout.stages)
        ],
        "machines_url": f"{places}?rollout__id__exact={rollout.pk}",
        "buttons": _buttons(rollout) if may_act else [],
    }


def _stage(
    rollout: Rollout, number: int, stage: Stage, counts: dict[tuple[int, str], int]
) -> dict[str, Any]:
    mine = {state: n for (of, state), n in counts.items() if of == number}
    total = sum(mine.values())
    return {
        "number": number + 1,
        "is_now": rollout.is_active and number == rollout.stage,
        "is_canary": stage.is_canary,
        "soak": _duration(stage.soak_seconds),
        "needs_confirmation": stage.needs_confirmation,
        "percent": 100 * (mine.get(DONE, 0) + mine.get(SKIPPED, 0)) // total if total else 0,
        "counts": sorted(mine.items()),
    }


def _duration(seconds: int) -> str:
    """In minutes where they are whole."""
    if not seconds:
        return ""
    return f"{seconds} s" if seconds % 60 else f"{seconds // 60} min"


def _buttons(rollout: Rollout) -> list[tuple[str, str]]:
    """(action, words) of what can be done in its state."""
    found = []
    if rollout.state in (READY, PAUSED):
        found.append(("resume", "Start" if rollout.state == READY else "Resume"))
    if rollout.state == RUNNING:
        found += [("pause", "Pause")]
        following = rollout.stage + 1
        stages = rollout.stages
        asks = following < len(stages) and stages[following]["needs_confirmation"]
        if asks and rollout.confirmed_stage < following:
            found.append(("resume", f"Confirm stage {following + 1}"))
    if rollout.state in ACTIVE_STATES:
        found.append(("abort", "Abort"))
    return [*found, ("rollback", f"Roll back to revision {rollout.from_number}")]
