"""How the machines of a cluster stand: spread, spares, who waits, and what a failure would take.

A constant number of queries, whatever the fleet's size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from enjoliver.common.errors import InvalidInput
from machines.locations import locations_of
from machines.topology import LEVELS, UNKNOWN, Location
from scheduling.models import Assignment, Cluster, Waiting
from scheduling.requirements import Requirements
from scheduling.roles import PROFILE_CONTROL_PLANE, PROFILE_NODE, RuleRole, WaitCode
from scheduling.services.rules import read_requirements
from scheduling.spread import LevelSpread, quorum_of, score_of, score_spread


@dataclass(frozen=True, slots=True)
class Member:
    """One member of the control plane, or one spare."""

    machine_id: int
    mac: str
    name: str
    place: Location


@dataclass(frozen=True, slots=True)
class Overview:
    """A cluster's placement as it is. `waiting` counts machines by reason (`WaitCode`)."""

    cluster: Cluster
    members: tuple[Member, ...]
    spread: tuple[LevelSpread, ...]
    node_count: int
    nodes_by_domain: Mapping[str, int]
    spares: tuple[Member, ...]
    waiting: Mapping[str, int]
    requirements: Mapping[str, Requirements]

    @property
    def score(self) -> int:
        """The control plane's spread at the cluster's level, 0 to 100."""
        return score_of(self.spread, self.cluster.spread_level)

    @property
    def spares_wanted(self) -> int:
        """How many machines are asked to be kept free for the control plane."""
        return self.requirements[RuleRole.CONTROL_PLANE].spares


@dataclass(frozen=True, slots=True)
class Loss:
    """What the failure of one domain takes away."""

    domain: str
    members_lost: tuple[Member, ...]
    members_left: int
    quorum: int
    nodes_lost: int
    nodes_left: int
    spares_lost: int

    @property
    def quorum_survives(self) -> bool:
        """True when enough members are left."""
        return self.members_left >= self.quorum


def read_overview(cluster: Cluster) -> Overview:
    """How `cluster` stands now."""
    members, nodes, spares = _read_members(cluster), _read_nodes(cluster), _read_spares()
    level = cluster.spread_level
    counts: Counter[str] = Counter(Waiting.objects.order_by().values_list("code", flat=True))
    return Overview(
        cluster=cluster,
        members=members,
        spread=score_spread([member.place for member in members]),
        node_count=len(nodes),
        nodes_by_domain=dict(sorted(Counter(p.domain(level) for p in nodes.values()).items())),
        spares=spares,
        waiting=dict(sorted(counts.items())),
        requirements=read_requirements(cluster),
    )


def read_loss(cluster: Cluster, domain: str) -> Loss:
    """What is lost when `domain` (`site:dc1/rack:7`, or its last part) fails.

    Raises InvalidInput for what cannot be a domain: to a typing error, nothing lost is no answer.
    """
    level, _, name = domain.partition(":")
    if level not in LEVELS or not name:
        expected = f"expected <level>:<name>, a level is one of {', '.join(LEVELS)}"
        raise InvalidInput(f"domain: {expected}", fields={"domain": expected})
    members, nodes, spares = _read_members(cluster), _read_nodes(cluster), _read_spares()
    lost = tuple(member for member in members if stands_in(member.place, domain))
    nodes_lost = sum(stands_in(place, domain) for place in nodes.values())
    return Loss(
        domain=domain,
        members_lost=lost,
        members_left=len(members) - len(lost),
        quorum=quorum_of(len(members)),
        nodes_lost=nodes_lost,
        nodes_left=len(nodes) - nodes_lost,
        spares_lost=sum(stands_in(spare.place, domain) for spare in spares),
    )


def stands_in(place: Location, domain: str) -> bool:
    """True when a machine at `place` fails with `domain`, named in whole or by its last part."""
    return any(
        own == domain or own.endswith(f"/{domain}")
        for own in (place.domain(level) for level in LEVELS)
    )


def _read_members(cluster: Cluster) -> tuple[Member, ...]:
    rows = Assignment.objects.filter(cluster=cluster, profile=PROFILE_CONTROL_PLANE)
    found = list(rows.order_by("boot_mac").values_list("machine_id", "boot_mac", "fqdn"))
    places = locations_of([pk for pk, _, _ in found])
    return tuple(Member(pk, mac, name, places.get(pk, UNKNOWN)) for pk, mac, name in found)


def _read_nodes(cluster: Cluster) -> dict[int, Location]:
    rows = Assignment.objects.filter(cluster=cluster, profile=PROFILE_NODE).order_by()
    return locations_of(list(rows.values_list("machine_id", flat=True)))


def _read_spares() -> tuple[Member, ...]:
    rows = Waiting.objects.filter(code=WaitCode.SPARE).order_by("machine__boot_mac")
    found = list(rows.values_list("machine_id", "machine__boot_mac"))
    places = locations_of([pk for pk, _ in found])
    return tuple(Member(pk, mac, "", places.get(pk, UNKNOWN)) for pk, mac in found)
