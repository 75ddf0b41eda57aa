"""Placement: who becomes control plane, who node, who waits and why. Pure and deterministic.

Nothing here knows the database or the clock: the same facts and the same `now` always give the
same plan, whatever order the candidates come in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from scheduling.roles import MAX_SETTLE_SECONDS, Spread, WaitCode

_LONGEST_WAIT = timedelta(seconds=MAX_SETTLE_SECONDS)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A machine without a role that may get one by itself.

    `domain` is its failure domain ("" unknown), `eligible_at` when nothing barred it any more,
    `bar` why it cannot join the control plane ("" when it can).
    """

    key: int
    mac: str
    domain: str
    eligible_at: datetime
    bar: str = ""


@dataclass(frozen=True, slots=True)
class Wait:
    """Why a machine waits: a code for programs, a sentence for people."""

    code: WaitCode
    reason: str


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator asked for: the control plane's size, its spread, the settling time."""

    size: int
    spread: str = Spread.PREFERRED
    settle_seconds: int = 5


@dataclass(frozen=True, slots=True)
class Plan:
    """The outcome: who is placed where, who waits, and when the next look is worth it."""

    control_plane: tuple[Candidate, ...] = ()
    nodes: tuple[Candidate, ...] = ()
    waiting: Mapping[int, Wait] = field(default_factory=dict)
    next_at: datetime | None = None


def plan_placement(
    *, policy: Policy, members: Sequence[str], candidates: Sequence[Candidate], now: datetime
) -> Plan:
    """Place `candidates` beside the control plane's present `members` (their failure domains).

    All missing members are chosen at once or none is; until the control plane is complete nobody
    becomes a node. A control plane larger than `policy.size` is left as it is.
    """
    ordered = sorted(candidates, key=lambda candidate: candidate.mac)
    missing = policy.size - len(members)
    if missing <= 0:
        return Plan(nodes=tuple(ordered))
    leaders = [candidate for candidate in ordered if not candidate.bar]
    obstacle = _find_obstacle(policy, members, leaders, missing)
    if obstacle:
        return Plan(waiting=_wait_for_all(ordered, obstacle))
    settled_at = settles_at([c.eligible_at for c in leaders], missing, policy.settle_seconds, now)
    if settled_at > now:
        reason = (
            f"settling: the control plane is chosen at {settled_at:%H:%M:%S} UTC, "
            "later when further machines appear"
        )
        waiting = _wait_for_all(ordered, Wait(WaitCode.SETTLING, reason))
        return Plan(waiting=waiting, next_at=settled_at)
    chosen = choose_members(leaders, missing, spread=policy.spread, members=members)
    keys = {candidate.key for candidate in chosen}
    nodes = tuple(candidate for candidate in ordered if candidate.key not in keys)
    return Plan(control_plane=chosen, nodes=nodes)


def choose_members(
    candidates: Iterable[Candidate], count: int, *, spread: str, members: Sequence[str] = ()
) -> tuple[Candidate, ...]:
    """Choose at most `count` candidates, each from the domain that holds the fewest members.

    Among equal domains known ones come first, then the one with the lowest MAC; inside a domain
    the lowest MAC. So the number of distinct domains is the largest possible. With `required`
    only unused known domains are taken, which may give fewer than `count`.
    """
    held = Counter(members)
    queues: dict[str, list[Candidate]] = {}
    for candidate in sorted(candidates, key=lambda c: c.mac, reverse=True):
        queues.setdefault(candidate.domain, []).append(candidate)
    if spread == Spread.REQUIRED:
        queues = {domain: q for domain, q in queues.items() if domain and not held[domain]}
    chosen: list[Candidate] = []
    while queues and len(chosen) < count:
        domain = min(queues, key=lambda name: (held[name], name == "", queues[name][-1].mac))
        chosen.append(queues[domain].pop())
        held[domain] += 1
        if not queues[domain] or spread == Spread.REQUIRED:
            del queues[domain]
    return tuple(chosen)


def settles_at(
    eligible_at: Sequence[datetime], missing: int, settle_seconds: int, now: datetime
) -> datetime:
    """When the control plane may be chosen: `settle_seconds` after the newest candidate, and at
    most 60 s after the `missing`-th one.

    A time further in the future than any settling can last comes from a clock that stepped back,
    and counts as long ago.
    """
    times = sorted(at if at <= now + _LONGEST_WAIT else now - _LONGEST_WAIT for at in eligible_at)
    return min(times[-1] + timedelta(seconds=settle_seconds), times[missing - 1] + _LONGEST_WAIT)


def _find_obstacle(
    policy: Policy, members: Sequence[str], leaders: Sequence[Candidate], missing: int
) -> Wait | None:
    if len(leaders) < missing:
        placed = f" and {len(members)} in place" if members else ""
        return Wait(
            WaitCode.CONTROL_PLANE,
            f"control plane needs {policy.size} machines, {len(leaders)} available{placed}",
        )
    if policy.spread != Spread.REQUIRED:
        return None
    free = {candidate.domain for candidate in leaders} - {""} - set(members)
    if len(free) >= missing:
        return None
    unknown = sum(not candidate.domain for candidate in leaders)
    return Wait(
        WaitCode.SPREAD,
        f"spread required: control plane needs {missing} unused failure domains, "
        f"{len(free)} available; {unknown} machines are in no known domain",
    )


def _wait_for_all(candidates: Iterable[Candidate], wait: Wait) -> dict[int, Wait]:
    return {
        candidate.key: Wait(wait.code, f"{wait.reason}; {candidate.bar}") if candidate.bar else wait
        for candidate in candidates
    }
