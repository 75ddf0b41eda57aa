"""Spread over failure domains: choosing machines that fail apart, and saying how well they do.

Pure and deterministic. A domain is a text, equal for machines that fail together, "" when
nobody knows: an unknown domain is never believed to be a domain of its own.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from machines.topology import LEVELS, Location
from scheduling.roles import Spread


class Placeable(Protocol):
    """What can be chosen: a MAC for the order, a domain, the smaller domains inside it."""

    @property
    def mac(self) -> str: ...
    @property
    def domain(self) -> str: ...
    @property
    def finer(self) -> tuple[str, ...]: ...


Item = TypeVar("Item", bound=Placeable)


def choose_members(
    candidates: Iterable[Item],
    count: int,
    *,
    spread: str,
    members: Sequence[str] = (),
    finer: Iterable[str] = (),
) -> tuple[Item, ...]:
    """Choose at most `count` candidates, each from the domain that holds the fewest members.

    Among equal domains known ones come first, then those whose smaller domains (a rack inside a
    site) hold fewer, then the one with the lowest MAC; inside a domain the lowest MAC. So the
    number of distinct domains is the largest possible. With `required` only unused known domains
    are taken, which may give fewer than `count`. `members` and `finer` are the domains that hold
    members already.
    """
    held, inside = Counter(members), Counter(finer)
    queues = _queues(candidates)
    if spread == Spread.REQUIRED:
        queues = {key: queue for key, queue in queues.items() if key[0] and not held[key[0]]}

    def rank(key: _Key) -> _Rank:
        domain, smaller = key
        return held[domain], not domain, *(inside[one] for one in smaller), queues[key][-1].mac

    # Counts only grow, so a rank that was right when it was stored can only be too good now.
    heap = [(rank(key), key) for key in queues]
    heapq.heapify(heap)
    chosen: list[Item] = []
    while heap and len(chosen) < count:
        stored, key = heap[0]
        present = rank(key)
        if present != stored:
            heapq.heapreplace(heap, (present, key))
            continue
        if spread == Spread.REQUIRED and held[key[0]]:
            heapq.heappop(heap)
            continue
        chosen.append(queues[key].pop())
        held[key[0]] += 1
        inside.update(key[1])
        if queues[key]:
            heapq.heapreplace(heap, (rank(key), key))
        else:
            heapq.heappop(heap)
    return tuple(chosen)


_Key = tuple[str, tuple[str, ...]]
_Rank = tuple[object, ...]


def _queues(candidates: Iterable[Item]) -> dict[_Key, list[Item]]:
    """The candidates of each domain, the lowest MAC last."""
    queues: dict[_Key, list[Item]] = {}
    for candidate in sorted(candidates, key=lambda one: one.mac, reverse=True):
        queues.setdefault((candidate.domain, candidate.finer), []).append(candidate)
    return queues


@dataclass(frozen=True, slots=True)
class LevelSpread:
    """How members stand at one level.

    `score` is the share of pairs that fail apart, in per cent; `largest` the most members that
    one failure takes away (those in unknown domains count as one).
    """

    level: str
    score: int
    domains: Mapping[str, int]
    largest: int
    quorum_survives: bool


def quorum_of(size: int) -> int:
    """How many of `size` members must be there: more than half."""
    return size // 2 + 1


def score_spread(places: Sequence[Location]) -> tuple[LevelSpread, ...]:
    """How well `places`, the members' locations, are spread: one answer a level, site first."""
    return tuple(_score_level(level, [place.domain(level) for place in places]) for level in LEVELS)


def score_of(scores: Sequence[LevelSpread], level: str) -> int:
    """The score at `level`."""
    return next(one.score for one in scores if one.level == level)


def _score_level(level: str, domains: Sequence[str]) -> LevelSpread:
    held, size = Counter(domains), len(domains)
    pairs = size * (size - 1) // 2
    together = sum(count * (count - 1) // 2 for count in held.values())
    # A member in no known domain may stand beside any other one.
    unknown = held[""]
    together += unknown * (size - unknown)
    largest = max((count for name, count in held.items() if name), default=0) + unknown
    return LevelSpread(
        level=level,
        score=100 if not pairs else round(100 * (pairs - together) / pairs),
        domains=dict(sorted(held.items())),
        largest=largest,
        quorum_survives=size - largest >= quorum_of(size),
    )


def rank_spread(places: Sequence[Location], level: str) -> tuple[int, ...]:
    """A key to compare sets of places by: the score at `level` first, then at all levels.

    Higher is better.
    """
    scores = score_spread(places)
    return score_of(scores, level), *(one.score for one in scores)
