"""Machines without a role, read in a constant number of queries and judged by the pure rules."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from machines.models import Interface, MachineConflict
from machines.topology import LEVELS, Level, Location
from scheduling.eligibility import Ranges, find_bar, find_obstacle
from scheduling.facts import CurrentFacts, current_facts, hardware_of
from scheduling.models import Assignment, Cluster, Waiting
from scheduling.placement import Candidate, Wait
from scheduling.reads import unassigned_machines
from scheduling.requirements import ANYTHING, Hardware, Requirements, find_lack
from scheduling.roles import KEPT_OUT, RuleRole, WaitCode
from scheduling.services.rules import read_kept_back


@dataclass(frozen=True, slots=True)
class Known:
    """What was written last about a waiting machine."""

    code: str
    reason: str
    since: datetime
    eligible_at: datetime | None


@dataclass(frozen=True, slots=True)
class Pool:
    """Machines without a role: who may get one, who is barred and why, what was written last.

    `places` are the locations of the candidates.
    """

    candidates: tuple[Candidate, ...]
    barred: Mapping[int, Wait]
    known: Mapping[int, Known]
    places: Mapping[int, Location] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Claimed:
    """Boot MACs and addresses that more than one machine has, or that a role holder has pinned."""

    macs: Collection[str]
    addresses: Collection[str]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the cluster asks of machines: its own networks, the level of its spread, its rules."""

    ranges: Ranges
    level: str = Level.CHASSIS
    control_plane: Requirements = ANYTHING
    node: Requirements = ANYTHING

    @classmethod
    def of(
        cls, cluster: Cluster, ranges: Ranges, requirements: Mapping[str, Requirements]
    ) -> Wanted:
        """For `cluster`, whose rules are `requirements`."""
        rules = (requirements[RuleRole.CONTROL_PLANE], requirements[RuleRole.NODE])
        return cls(ranges, cluster.spread_level, *rules)

    @property
    def looks_at_hardware(self) -> bool:
        """True when a rule asks for more than a machine."""
        return self.control_plane.looks_at_hardware or self.node.looks_at_hardware


def finer_domains(place: Location, level: str) -> tuple[str, ...]:
    """The domains of `place` inside the one at `level`, the largest first."""
    return tuple(place.domain(one) for one in LEVELS[LEVELS.index(Level(level)) + 1 :])


def read_pool(*, ask: Callable[[], Wanted], now: datetime) -> Pool:
    """Read every machine that holds no role, but those that an operator keeps released.

    `ask` says what the cluster asks for; it is called when there is a machine to judge.
    """
    created = dict(unassigned_machines().order_by().values_list("pk", "created_at"))
    rows = Waiting.objects.filter(machine__assignment__isnull=True).order_by()
    columns = ("machine_id", "code", "reason", "since", "eligible_at")
    known = {pk: Known(*rest) for pk, *rest in rows.values_list(*columns)}
    kept_out = {pk for pk, row in known.items() if row.code in KEPT_OUT}
    asked = {pk: at for pk, at in created.items() if pk not in kept_out}
    if not asked:
        return Pool((), {}, known)
    wanted = ask()
    facts = current_facts(unassigned_machines())
    judge = _Judge(wanted, _read_claimed(facts), _read_conflicts(), read_kept_back())
    barred: dict[int, Wait] = {}
    fit: dict[int, CurrentFacts] = {}
    for pk in asked:
        obstacle = judge.find_obstacle(pk, facts.get(pk))
        if obstacle:
            barred[pk] = obstacle
        else:
            fit[pk] = facts[pk]
    hardware = hardware_of(fit) if wanted.looks_at_hardware else {}
    candidates = tuple(
        judge.as_candidate(pk, its, hardware.get(pk), known.get(pk), asked[pk], now)
        for pk, its in fit.items()
    )
    return Pool(candidates, barred, known, {pk: its.location for pk, its in fit.items()})


@dataclass(frozen=True, slots=True)
class _Judge:
    wanted: Wanted
    claimed: _Claimed
    conflicts: Mapping[int, Mapping[str, str]]
    kept_back: Mapping[int, str]

    def find_obstacle(self, pk: int, facts: CurrentFacts | None) -> Wait | None:
        """Why the machine gets no role at all by itself."""
        obstacle = find_obstacle(
            address=facts.ipv4 if facts and facts.has_address else None,
            conflicts=self.conflicts.get(pk, {}),
            is_mac_held=facts is not None and facts.boot_mac in self.claimed.macs,
            ranges=self.wanted.ranges,
        )
        if obstacle is None and pk in self.kept_back:
            return Wait(WaitCode.HELD, self.kept_back[pk])
        return obstacle

    def as_candidate(
        self,
        pk: int,
        facts: CurrentFacts,
        hardware: Hardware | None,
        known: Known | None,
        created_at: datetime,
        now: datetime,
    ) -> Candidate:
        """A machine without obstacle, with what bars it from one role or the other."""
        address, conflicts = facts.ipv4 or "", self.conflicts.get(pk, {})
        bars = [
            find_bar(address=address, conflicts=conflicts, claimed_twice=self.claimed.addresses)
        ]
        node_bar = ""
        if hardware is not None:
            bars.append(find_lack(self.wanted.control_plane, hardware, "the control plane"))
            node_bar = find_lack(self.wanted.node, hardware, "a node")
        return Candidate(
            key=pk,
            mac=facts.boot_mac,
            domain=facts.location.domain(self.wanted.level),
            eligible_at=_eligible_at(known, created_at, now),
            bar="; ".join(bar for bar in bars if bar),
            node_bar=node_bar,
            finer=finer_domains(facts.location, self.wanted.level),
            is_spare=known is not None and known.code == WaitCode.SPARE,
        )


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
