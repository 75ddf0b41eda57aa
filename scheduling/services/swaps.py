"""A member of the control plane leaves and another machine takes its place, in one step.

In one step, because the member lists are what the machines build etcd from: four names with one
of them dead need three votes of three that are there. See docs/decisions/0012.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.utils import timezone

from enjoliver.common.errors import Conflict
from enjoliver.common.words import counted
from machines.locations import locations_of
from machines.models import Machine
from machines.topology import UNKNOWN, Location
from scheduling.eligibility import Ranges
from scheduling.models import Assignment, Cluster
from scheduling.placement import Candidate
from scheduling.roles import CONTROL_PLANE_ROLES, PROFILE_CONTROL_PLANE, Spread
from scheduling.services.candidates import Pool, Wanted, read_pool
from scheduling.services.claims import lock_cluster
from scheduling.services.roles import give_roles, take_roles
from scheduling.services.rules import read_requirements
from scheduling.spread import LevelSpread, rank_spread, score_of, score_spread
from scheduling.values import cluster_values


@dataclass(frozen=True, slots=True)
class SpareChoice:
    """A free machine that could take the place; `score` is the spread at the cluster's level
    afterwards, `is_kept` says that it was kept free for this."""

    machine_id: int
    mac: str
    domain: str
    score: int
    is_kept: bool


@dataclass(frozen=True, slots=True)
class SwapPlan:
    """What replacing one member would mean. `spares`: the best first; empty with `lack` why."""

    cluster_id: int
    leaving_id: int
    member_ids: tuple[int, ...]
    level: str
    before: tuple[LevelSpread, ...]
    spares: tuple[SpareChoice, ...]
    lack: str = ""

    @property
    def score_before(self) -> int:
        """The spread at the cluster's level as it is."""
        return score_of(self.before, self.level)


def plan_swap(*, machine: Machine) -> SwapPlan:
    """Who could replace the control-plane member `machine`; changes nothing.

    Raises Conflict when it is no member. A constant number of queries, linear in the free
    machines.
    """
    assignment = _membership(machine)
    cluster = assignment.cluster
    members = _member_ids(cluster)
    places = locations_of(members)
    staying = [places.get(pk, UNKNOWN) for pk in members if pk != machine.pk]
    pool = _read_pool(cluster)
    fit = [one for one in pool.candidates if not one.bar]
    if cluster.spread == Spread.REQUIRED:
        used = {place.domain(cluster.spread_level) for place in staying} | {""}
        apart = [one for one in fit if one.domain not in used]
    else:
        apart = fit
    return SwapPlan(
        cluster_id=cluster.pk,
        leaving_id=machine.pk,
        member_ids=tuple(members),
        level=cluster.spread_level,
        before=score_spread([places.get(pk, UNKNOWN) for pk in members]),
        spares=_rank(apart, pool, staying, cluster.spread_level),
        lack="" if apart else _why_nobody(pool, fit),
    )


def swap_member(*, leaving: Machine, joining: Machine, actor: str, reason: str) -> Assignment:
    """Give the place of `leaving` in the control plane to `joining`; returns its assignment.

    The member lists have the same length before and after, at each moment. `leaving` is released
    and left alone by the scheduler. Raises Conflict when it is no member any more, or when
    `joining` has a role already or cannot hold one; then nothing is changed.
    """
    _membership(leaving)
    try:
        with transaction.atomic():
            cluster = lock_cluster(_membership(leaving).cluster_id)
            assignment = _membership(leaving)
            if Assignment.objects.filter(machine=joining).exists():
                raise Conflict(f"{joining} has a role already", kind="has_role")
            take_roles(assignment, actor, f"replaced by {joining.boot_mac}: {reason}")
            given = give_roles(joining, cluster, CONTROL_PLANE_ROLES, actor)
    except IntegrityError as error:
        raise Conflict(
            f"{joining} was changed at the same moment; try again", kind="changed_meanwhile"
        ) from error
    return given


def _membership(machine: Machine) -> Assignment:
    rows = Assignment.objects.filter(machine_id=machine.pk, profile=PROFILE_CONTROL_PLANE)
    found = rows.select_related("cluster", "machine").first()
    if found is None:
        raise Conflict(f"{machine} is no member of a control plane", kind="no_member")
    return found


def _member_ids(cluster: Cluster) -> list[int]:
    rows = Assignment.objects.filter(cluster=cluster, profile=PROFILE_CONTROL_PLANE)
    return list(rows.order_by("boot_mac").values_list("machine_id", flat=True))


def _read_pool(cluster: Cluster) -> Pool:
    def ask() -> Wanted:
        ranges = Ranges.of(cluster_values(cluster))
        return Wanted.of(cluster, ranges, read_requirements(cluster))

    return read_pool(ask=ask, now=timezone.now())


def _rank(
    candidates: Sequence[Candidate], pool: Pool, staying: Sequence[Location], level: str
) -> tuple[SpareChoice, ...]:
    """The best first: by spread, then those kept free for it, then the lowest MAC."""
    ranks: dict[Location, tuple[int, ...]] = {}
    for candidate in candidates:
        place = pool.places[candidate.key]
        if place not in ranks:
            ranks[place] = rank_spread([*staying, place], level)

    def order(one: Candidate) -> tuple[object, ...]:
        worse = tuple(-score for score in ranks[pool.places[one.key]])
        return worse, not one.is_spare, one.mac

    return tuple(
        SpareChoice(one.key, one.mac, one.domain, ranks[pool.places[one.key]][0], one.is_spare)
        for one in sorted(candidates, key=order)
    )


def _why_nobody(pool: Pool, fit: Sequence[Candidate]) -> str:
    if fit:
        return (
            f"{counted(len(fit), 'machine is', 'machines are')} free, but each in a failure "
            "domain that another member stands in or in no known one, and the spread is required"
        )
    reasons = [one.bar for one in pool.candidates] + [wait.reason for wait in pool.barred.values()]
    if not reasons:
        return "no machine is free: all have a role, or were released or retired by an operator"
    reason, count = Counter(reasons).most_common(1)[0]
    return f"none of the {len(reasons)} machines without a role can join; {count} of them: {reason}"
