"""Placement: who becomes control plane, who node, who waits and why. Pure and deterministic.

Nothing here knows the database or the clock: the same facts and the same `now` always give the
same plan, whatever order the candidates come in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from enjoliver.common.words import counted
from scheduling.roles import MAX_SETTLE_SECONDS, Spread, WaitCode
from scheduling.spread import choose_members

_LONGEST_WAIT = timedelta(seconds=MAX_SETTLE_SECONDS)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A machine without a role that may get one by itself.

    `domain` is its failure domain ("" unknown) and `finer` the smaller ones inside it,
    `eligible_at` when nothing barred it any more, `bar` why it cannot join the control plane and
    `node_bar` why it cannot be a node ("" when it can). `is_spare`: the last plan kept it free.
    """

    key: int
    mac: str
    domain: str
    eligible_at: datetime
    bar: str = ""
    node_bar: str = ""
    finer: tuple[str, ...] = ()
    is_spare: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """Why a machine waits: a code for programs, a sentence for people."""

    code: WaitCode
    reason: str


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator asked for: the control plane's size, its spread, the settling time.

    `spares` machines fit for the control plane and `node_spares` fit to be nodes are kept free;
    `node_count` is how many nodes there are at most (None: as many as there are machines).
    """

    size: int
    spread: str = Spread.PREFERRED
    settle_seconds: int = 5
    spares: int = 0
    node_spares: int = 0
    node_count: int | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """The failure domains of the machines that have a role already.

    `finer` are the smaller domains of the control plane's members.
    """

    control_plane: Sequence[str] = ()
    nodes: Sequence[str] = ()
    finer: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """The outcome: who is placed where, who waits, and when the next look is worth it."""

    control_plane: tuple[Candidate, ...] = ()
    nodes: tuple[Candidate, ...] = ()
    waiting: Mapping[int, Wait] = field(default_factory=dict)
    next_at: datetime | None = None


def plan_placement(
    *,
    policy: Policy,
    members: Sequence[str] | Held,
    candidates: Sequence[Candidate],
    now: datetime,
) -> Plan:
    """Place `candidates` beside the machines that have a role: `members`, by failure domain
    (a plain list: those of the control plane, where nothing else is asked for).

    All missing members are chosen at once or none is; until the control plane is complete nobody
    becomes a node. A control plane larger than `policy.size` is left as it is.
    """
    held = members if isinstance(members, Held) else Held(members)
    ordered = sorted(candidates, key=lambda candidate: candidate.mac)
    missing = policy.size - len(held.control_plane)
    if missing <= 0:
        return _plan_nodes(policy, held, ordered, ())
    leaders = [candidate for candidate in ordered if not candidate.bar]
    obstacle = _find_obstacle(policy, held.control_plane, leaders, missing)
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
    chosen = choose_members(
        leaders, missing, spread=policy.spread, members=held.control_plane, finer=held.finer
    )
    return _plan_nodes(policy, held, _without(ordered, chosen), chosen)


def _plan_nodes(
    policy: Policy, held: Held, rest: Sequence[Candidate], chosen: tuple[Candidate, ...]
) -> Plan:
    """What becomes of those who are not needed in the control plane."""
    spares = _keep_free([c for c in rest if not c.bar], policy.spares)
    reason = f"kept free: one of {policy.spares} spares of the control plane"
    waiting = {spare.key: Wait(WaitCode.SPARE, reason) for spare in spares}
    rest = _without(rest, spares)
    for candidate in rest:
        if candidate.node_bar:
            waiting[candidate.key] = Wait(WaitCode.UNSUITABLE, candidate.node_bar)
    nodes: Sequence[Candidate] = [c for c in rest if not c.node_bar]
    if policy.node_count is not None:
        room = max(0, policy.node_count - len(held.nodes))
        fit = choose_members(nodes, room, spread=Spread.PREFERRED, members=held.nodes)
        enough = Wait(WaitCode.ENOUGH, f"kept free: the cluster asks for {policy.node_count} nodes")
        waiting |= {c.key: enough for c in _without(nodes, fit)}
        nodes = sorted(fit, key=lambda candidate: candidate.mac)
    elif policy.node_spares:
        spares = _keep_free(nodes, policy.node_spares)
        reason = f"kept free: one of {policy.node_spares} spare nodes"
        waiting |= {spare.key: Wait(WaitCode.SPARE, reason) for spare in spares}
        nodes = _without(nodes, spares)
    return Plan(control_plane=chosen, nodes=tuple(nodes), waiting=waiting)


def _keep_free(candidates: Sequence[Candidate], count: int) -> tuple[Candidate, ...]:
    """The spares: those that are spares already, then others, each far from the last."""
    if not count:
        return ()
    present = [candidate for candidate in candidates if candidate.is_spare]
    kept = choose_members(present, count, spread=Spread.PREFERRED)
    others = [candidate for candidate in candidates if not candidate.is_spare]
    domains = [candidate.domain for candidate in kept]
    more = choose_members(others, count - len(kept), spread=Spread.PREFERRED, members=domains)
    return kept + more


def _without(candidates: Sequence[Candidate], chosen: Iterable[Candidate]) -> list[Candidate]:
    keys = {candidate.key for candidate in chosen}
    return [candidate for candidate in candidates if candidate.key not in keys]


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
            f"control plane needs {counted(policy.size, 'machine')}, {len(leaders)} "
            f"available{placed}",
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
        f"{len(free)} available; {counted(unknown, 'machine is', 'machines are')} in no known "
        "domain",
    )


def _wait_for_all(candidates: Iterable[Candidate], wait: Wait) -> dict[int, Wait]:
    return {
        candidate.key: Wait(wait.code, f"{wait.reason}; {candidate.bar}") if candidate.bar else wait
        for candidate in candidates
    }


__all__ = [
    "Candidate",
    "Held",
    "Plan",
    "Policy",
    "Wait",
    "choose_members",
    "plan_placement",
    "settles_at",
]
