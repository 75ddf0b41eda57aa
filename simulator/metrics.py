"""What the requests cost: latency per route in a histogram of fixed size, statuses, bytes."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

_FINEST_SECONDS = 0.0002
_GROWTH = 1.08
_BUCKETS = 200  # up to about 16 minutes


class Histogram:
    """Durations in buckets that grow by 8 %, so that a percentile is right to 8 %."""

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS
        self.total = 0
        self.longest = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        ratio = max(seconds, _FINEST_SECONDS) / _FINEST_SECONDS
        self._counts[min(_BUCKETS - 1, int(math.log(ratio, _GROWTH)))] += 1
        self.total += 1
        self.longest = max(self.longest, seconds)

    def percentile(self, share: float) -> float:
        """The duration in seconds that `share` (0 to 1) of all stay at or under; 0 without any."""
        seen, wanted = 0, math.ceil(self.total * share)
        for bucket, count in enumerate(self._counts):
            seen += count
            if count and seen >= wanted:
                return min(self.longest, _FINEST_SECONDS * _GROWTH ** (bucket + 1))
        return 0.0


@dataclass(slots=True)
class RouteCost:
    """Everything counted about one route."""

    latency: Histogram = field(default_factory=Histogram)
    statuses: Counter[int] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    bytes_sent: int = 0
    bytes_received: int = 0

    def as_json(self) -> dict[str, Any]:
        """Milliseconds and counts, for the summary."""
        return {
            "requests": self.latency.total + sum(self.lost.values()),
            "p50_ms": round(self.latency.percentile(0.50) * 1000, 1),
            "p99_ms": round(self.latency.percentile(0.99) * 1000, 1),
            "max_ms": round(self.latency.longest * 1000, 1),
            "bytes_sent": self.bytes_sent,
            "bytes_received": self.bytes_received,
            "statuses": {str(status): self.statuses[status] for status in sorted(self.statuses)},
            "lost": dict(self.lost),
        }


class Costs:
    """Costs of all routes of one run."""

    def __init__(self) -> None:
        self.routes: dict[str, RouteCost] = {}
        self.missing_assets = 0

    def answered(
        self, route: str, *, status: int, seconds: float, sent: int, received: int
    ) -> None:
        """Count a request that was answered."""
        cost = self._route(route)
        cost.latency.add(seconds)
        cost.statuses[status] += 1
        cost.bytes_sent += sent
        cost.bytes_received += received

    def lost(self, route: str, reason: str) -> None:
        """Count a request without an answer."""
        self._route(route).lost[reason] += 1

    def _route(self, route: str) -> RouteCost:
        return self.routes.setdefault(route, RouteCost())

    def as_json(self) -> dict[str, Any]:
        """All routes by name."""
        return {name: self.routes[name].as_json() for name in sorted(self.routes)}
