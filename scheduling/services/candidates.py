"""Machines without a role, read in a constant number of queries and judged by the pure rules."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from machines.models import Interface, MachineConflict
from scheduling.eligibility import Ranges, find_bar, find_obstacle
from scheduling.facts import CurrentFacts, current_facts
from scheduling.models import Assignment, Waiting
from scheduling.placement import Candidate, Wait
from scheduling.reads import unassigned_machines
from scheduling.roles import WaitCode


@dataclass(frozen=True, slots=True)
class Known:
    """What was written last about a waiting machine."""

    code: str
    reason: str
    since: datetime
    eligible_at: datetime | None


@dataclass(frozen=True, slots=True)
class Pool:
    """Machines without a role: who may get one, who is barred and why, what was written last."""

    candidates: tuple[Candidate, ...]
    barred: Mapping[int, Wait]
    known: Mapping[int, Known]


@dataclass(frozen=True, slots=True)
class _Claimed:
    """Boot MACs and addresses that more than one machine has, or that a role holder has pinned."""

    macs: Collection[str]
    addresses: Collection[str]


def read_pool(*, ranges: Ranges, now: datetime) -> Pool:
    """Read every machine that holds no role, but those that an operator keeps released."""
    created = dict(unassigned_machines().order_by().values_list("pk", "created_at"))
    rows = Waiting.objects.filter(machine__assignment__isnull=True).order_by()
    columns = ("machine_id", "code", "reason", "since", "eligible_at")
    known = {pk: Known(*rest) for pk, *rest in rows.values_list(*columns)}
    released = {pk for pk, row in known.items() if row.code == WaitCode.RELEASED}
    wanted = {pk: at for pk, at in created.items() if pk not in released}
    if not wanted:
        return Pool((), {}, known)
    facts = current_facts(unassigned_machines())
    claimed, conflicts = _read_claimed(facts), _read_conflicts()
    candidates, barred = [], {}
    for pk, created_at in wanted.items():
        verdict = _judge(pk, facts.get(pk), conflicts.get(pk, {}), claimed, ranges)
        if isinstance(verdict, Wait):
            barred[pk] = verdict
            continue
        mac, domain, bar = verdict
        since = _eligible_at(known.get(pk), created_at, now)
        candidates.append(Candidate(pk, mac, domain, since, bar))
    return Pool(tuple(candidates), barred, known)


def _judge(
    pk: int,
    facts: CurrentFacts | None,
    conflicts: Mapping[str, str],
    claimed: _Claimed,
    ranges: Ranges,
) -> Wait | tuple[str, str, str]:
    """Why the machine is barred, or its (boot MAC, failure domain, bar from the control plane)."""
    address = facts.ipv4 if facts and facts.has_address else None
    obstacle = find_obstacle(
        address=address,
        conflicts=conflicts,
        is_mac_held=facts is not None and facts.boot_mac in claimed.macs,
        ranges=ranges,
    )
    if obstacle or facts is None or address is None:
        return obstacle or Wait(WaitCode.NO_ADDRESS, "no boot interface")
    bar = find_bar(address=address, conflicts=conflicts, claimed_twice=claimed.addresses)
    return facts.boot_mac, facts.failure_domain, bar


def _eligible_at(known: Known | None, created_at: datetime, now: datetime) -> datetime:
    """Since when nothing bars the machine: its discovery, unless it was barred in between."""
    if known is None:
        return created_at
    return known.eligible_at or now


def _read_claimed(facts: Mapping[int, CurrentFacts]) -> _Claimed:
    own = Interface.objects.filter(is_boot=True, machine__assignment__isnull=True).order_by()
    held = Assignment.objects.filter(boot_mac__in=own.values("mac"))
    pinned = Assignment.objects.filter(ipv4__in=own.filter(ipv4__isnull=False).values("ipv4"))
    macs = Counter(fact.boot_mac for fact in facts.values())
    addresses = Counter(fact.ipv4 for fact in facts.values() if fact.ipv4)
    return _Claimed(
        macs={mac for mac, count in macs.items() if count > 1}
        | set(held.values_list("boot_mac", flat=True)),
        addresses={address for address, count in addresses.items() if count > 1}
        | {address for address in pinned.values_list("ipv4", flat=True) if address},
    )


def _read_conflicts() -> dict[int, dict[str, str]]:
    """Open conflicts of machines without a role: machine id to kind to what contends."""
    conflicts: dict[int, dict[str, str]] = defaultdict(dict)
    rows = MachineConflict.objects.filter(machine__assignment__isnull=True).order_by("-pk")
    for row in rows:
        conflicts[row.machine_id][row.kind] = f"{row}; {row.detail}"
    return conflicts
