"""How large and how long: the promised sizes, and small ones that only prove the harness."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """Fleet sizes, rounds and times of all stages. `is_quick`: ratios are not judged."""

    is_quick: bool
    rounds: int
    report_rounds: int
    report_seconds: float
    connections: int
    small_fleet: int
    large_fleet: int
    first_sync_small: int
    first_sync_large: int
    first_sync_rounds: int
    storm_sample: int

    @property
    def growth(self) -> float:
        """How many times larger the large fleet is."""
        return self.large_fleet / self.small_fleet


FULL = Sizes(
    is_quick=False,
    rounds=5,
    # Many short turns: whatever else the machine does meets both sides alike.
    report_rounds=15,
    report_seconds=1.2,
    connections=16,
    small_fleet=1_000,
    large_fleet=10_000,
    first_sync_small=300,
    first_sync_large=3_000,
    first_sync_rounds=2,
    storm_sample=100,
)
QUICK = Sizes(
    is_quick=True,
    rounds=2,
    report_rounds=2,
    report_seconds=0.3,
    connections=4,
    small_fleet=30,
    large_fleet=60,
    first_sync_small=8,
    first_sync_large=16,
    first_sync_rounds=1,
    storm_sample=8,
)
