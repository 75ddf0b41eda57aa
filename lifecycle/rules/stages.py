"""The stages of a rollout: a canary, then growing parts, then the rest. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lifecycle.rules.amounts import Amount


@dataclass(frozen=True, slots=True)
class Stage:
    """Machines at the places below `up_to` (and not below the former stage's).

    `soak_seconds` pass after its last machine is done before the next stage begins;
    `needs_confirmation`: it begins only when an operator says so.
    """

    up_to: int
    soak_seconds: int = 0
    needs_confirmation: bool = False
    is_canary: bool = False


def plan_stages(
    total: int, *, canary_count: int, canary_soak_seconds: int, stages: Sequence[Mapping[str, Any]]
) -> list[Stage]:
    """The stages of a rollout over `total` machines, without empty ones; the last one ends there.

    `stages` are the policy's: {"up_to": "25%", "soak_seconds": 0, "needs_confirmation": false}.
    """
    planned = [Stage(min(canary_count, total), canary_soak_seconds, is_canary=True)]
    for entry in stages:
        planned.append(
            Stage(
                min(Amount.read(str(entry["up_to"])).of(total), total),
                int(entry.get("soak_seconds", 0)),
                bool(entry.get("needs_confirmation", False)),
            )
        )
    if not planned or planned[-1].up_to < total:
        planned.append(Stage(total))
    return _without_empty(planned)


def _without_empty(planned: Sequence[Stage]) -> list[Stage]:
    """A stage that adds nobody vanishes, but what it asks for before itself does not."""
    kept: list[Stage] = []
    must_ask = False
    for stage in planned:
        must_ask = must_ask or stage.needs_confirmation
        if stage.up_to > (kept[-1].up_to if kept else 0):
            kept.append(Stage(stage.up_to, stage.soak_seconds, must_ask, is_canary=stage.is_canary))
            must_ask = False
    return kept


def stage_of(stages: Sequence[Stage], position: int) -> int:
    """The number of the stage that the machine at `position` (0 is first) belongs to."""
    return next(
        (number for number, stage in enumerate(stages) if position < stage.up_to),
        max(0, len(stages) - 1),
    )
