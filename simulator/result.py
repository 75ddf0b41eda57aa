"""What a run came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_SHOWN = 50


@dataclass(frozen=True, slots=True)
class End:
    """Where one machine stands and what it lacks to its expected end."""

    name: str
    phase: str
    lacks: str


@dataclass(frozen=True, slots=True)
class Result:
    """One run summed up; `is_good` is what the exit status says."""

    seconds: float
    machines: int
    phases: Mapping[str, int]
    unfinished: Sequence[End]
    violations: Sequence[str]
    violation_count: int
    most_down_at_once: int
    turns_taken: int
    missing_assets: int
    routes: Mapping[str, Mapping[str, Any]]

    @property
    def is_good(self) -> bool:
        """All machines reached their expected end and no rule was broken."""
        return not self.unfinished and not self.violation_count

    def as_json(self) -> dict[str, Any]:
        """For `--json`; long lists are cut, their counts are not."""
        return {
            "good": self.is_good,
            "seconds": round(self.seconds, 1),
            "machines": self.machines,
            "phases": dict(self.phases),
            "unfinished_count": len(self.unfinished),
            "unfinished": [
                {"machine": end.name, "phase": end.phase, "lacks": end.lacks}
                for end in self.unfinished[:_SHOWN]
            ],
            "violation_count": self.violation_count,
            "violations": list(self.violations[:_SHOWN]),
            "most_down_at_once": self.most_down_at_once,
            "turns_taken": self.turns_taken,
            "missing_assets": self.missing_assets,
            "routes": dict(self.routes),
        }
