"""Health gates as rollouts read them. None is configured in this version: nothing is in the way."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """What one gate says now: whether machines may change, and why not."""

    name: str
    is_healthy: bool
    message: str = ""


def read_gates(policy_ids: Collection[int], now: datetime) -> dict[int, list[GateVerdict]]:
    """The verdicts of the gates of each policy; a policy without gates has an empty list."""
    return {policy_id: [] for policy_id in policy_ids}
