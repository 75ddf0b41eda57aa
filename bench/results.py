"""What a stage found: figures (ratios with a promise), facts (true or not) and raw numbers."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Spread:
    """Smallest, middle and largest of the samples that interleaved rounds gave."""

    low: float
    median: float
    high: float
    count: int

    @classmethod
    def of(cls, samples: Sequence[float]) -> Spread:
        """The spread of at least one sample; raises ValueError for none."""
        if not samples:
            raise ValueError("a spread needs a sample")
        return cls(min(samples), statistics.median(samples), max(samples), len(samples))


@dataclass(frozen=True, slots=True)
class Bound:
    """What is promised of a ratio. `at_least`: the ratio must not be below `limit`, else above."""

    limit: float
    at_least: bool

    def holds(self, ratio: float) -> bool:
        """Whether `ratio` keeps the promise."""
        return ratio >= self.limit if self.at_least else ratio <= self.limit

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit:g}x"


def at_least(limit: float) -> Bound:
    """The promise that a ratio is `limit` or more."""
    return Bound(limit, at_least=True)


def at_most(limit: float) -> Bound:
    """The promise that a ratio is `limit` or less."""
    return Bound(limit, at_least=False)


@dataclass(frozen=True, slots=True)
class Figure:
    """A ratio against `yardstick`, one sample a round; its median is judged.

    Without `bound` nothing is promised. `raw` holds the numbers behind it, with their units in
    their names.
    """

    name: str
    yardstick: str
    ratio: Spread
    bound: Bound | None = None
    raw: dict[str, Any] = field(default_factory=dict)

    @property
    def is_kept(self) -> bool:
        """Whether the promise, if any, is kept."""
        return self.bound is None or self.bound.holds(self.ratio.median)


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that must be true whatever the machine's speed; `detail` says what was seen."""

    name: str
    holds: bool
    detail: str = ""


@dataclass(slots=True)
class StageResult:
    """All that one stage found; `error` is empty unless the stage could not be measured."""

    stage: str
    figures: list[Figure] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    raw: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    error: str = ""

    def broken(self, *, judge_speed: bool) -> list[str]:
        """Names of what is not as promised; ratios count only with `judge_speed`."""
        slow = [one.name for one in self.figures if judge_speed and not one.is_kept]
        false = [fact.name for fact in self.facts if not fact.holds]
        return [*([self.error] if self.error else []), *false, *slow]

    def as_json(self) -> dict[str, Any]:
        """As it stands in the JSON file, with the verdict of each figure."""
        document = asdict(self)
        for row, figure in zip(document["figures"], self.figures, strict=True):
            row["promise"] = str(figure.bound) if figure.bound else None
            row["is_kept"] = figure.is_kept
            del row["bound"]
        return document


def divide(numerators: Sequence[float], denominators: Sequence[float]) -> Spread:
    """The spread of the rounds' ratios: each round is divided by its own yardstick."""
    return Spread.of([a / b for a, b in zip(numerators, denominators, strict=True)])
