"""Updates that failed: how often, why, and how long this one is left alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from agent.engine import NotNow
from agent.run import Run

_MEMORY = "update-failures"
_MAX_COUNT = 1000
_MAX_DOUBLINGS = 6


@dataclass(frozen=True, slots=True)
class Failures:
    """The failures in a row, kept over restarts."""

    run: Run

    def check(self) -> None:
        """Raises NotNow while the next try has to wait.

        A wait that is longer than any that was ever set comes from a clock that was put back.
        """
        kept = self.run.store.read(_MEMORY)
        left = number(kept.get("not_before")) - self.run.clock.now()
        if 0 < left < self._penalty(_MAX_DOUBLINGS) + 1:
            raise NotNow(f"its last update failed: {kept.get('reason')}")

    def note(self, reason: str) -> None:
        """One more; raises OSError."""
        kept = number(self.run.store.read(_MEMORY).get("count"))
        count = int(max(0.0, min(kept, _MAX_COUNT))) + 1
        not_before = self.run.clock.now() + self._penalty(count)
        self.run.store.write(_MEMORY, {"count": count, "reason": reason, "not_before": not_before})

    def forget(self) -> None:
        """An update went well."""
        self.run.store.forget(_MEMORY)

    def _penalty(self, count: int) -> float:
        """Seconds to leave an update alone that failed so often."""
        return self.run.config.longest_pause_seconds * 2.0 ** min(count, _MAX_DOUBLINGS)


def number(value: Any) -> float:
    """A number out of a state file; 0 for whatever else stands there."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    try:
        return float(value) if is_number and math.isfinite(value) else 0.0
    except OverflowError:
        return 0.0
