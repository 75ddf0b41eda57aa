"""One pass of the scheduler: who can be placed is placed, who cannot is told why.

Any number of passes may run at once. Each write is a short transaction that first moves the
cluster's version by compare-and-swap, so a pass that planned on what is no longer true writes
nothing, reads again, and after a few tries leaves the rest to the next pass.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import islice
from typing import TypeVar

from django.db import IntegrityError, transaction
from django.utils import timezone

from machines.locations import locations_of
from machines.models import Machine
from machines.services import record_events
from machines.topology import UNKNOWN
from scheduling.eligibility import Ranges
from scheduling.facts import current_facts
from scheduling.models import AssignedRole, Assignment, Cluster, Waiting
from scheduling.placement import Candidate, Held, Plan, Policy, Wait, plan_placement
from scheduling.podnets import free_indexes, pod_capacity
from scheduling.requirements import Requirements
from scheduling.roles import (
    CONTROL_PLANE_ROLES,
    DEFAULT_CLUSTER,
    PROFILE_NODE,
    RoleName,
    RuleRole,
    WaitCode,
    profile_of,
)
from scheduling.services.candidates import Known, Pool, Wanted, finer_domains, read_pool
from scheduling.services.claims import LostRace, claim_cluster, note_claim
from scheduling.services.pins import new_assignment, recheck_pins
from scheduling.services.rules import read_requirements
from scheduling.signals import announce_intent
from scheduling.values import cluster_values

logger = logging.getLogger(__name__)
BATCH = 200
"""Machines a transaction: well below 100 ms, so that discoveries get in between."""
ATTEMPTS = 3
ACTOR = "scheduler"
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class PlacementResult:
    """What one call did: machines placed, machines left waiting, and when the next look is due.

    `next_at` is set while the control plane settles. `is_beaten`: others were faster each time,
    and the next pass finds what is left.
    """

    control_plane: int = 0
    nodes: int = 0
    waiting: int = 0
    next_at: datetime | None = None
    is_beaten: bool = False


def run_scheduler(*, cluster: Cluster, now: datetime | None = None) -> PlacementResult:
    """Place every machine that can be placed in `cluster`, and write why the others wait.

    Machines that belong to no cluster go to the default cluster only. `now` is the time the plan
    is made for (tests); idempotent, and safe when many run at once.
    """
    tally = _Tally()
    for _ in range(ATTEMPTS):
        try:
            return _Pass(cluster.pk, now or timezone.now(), tally).run()
        except LostRace:
            logger.info("another pass changed cluster %s first; reading again", cluster.name)
    return PlacementResult(tally.control_plane, tally.nodes, is_beaten=True)


@dataclass(slots=True)
class _Tally:
    """Machines placed so far, over all attempts of one call."""

    control_plane: int = 0
    nodes: int = 0


class _Pass:
    """One attempt: read, plan, write in batches."""

    def __init__(self, cluster_id: int, now: datetime, tally: _Tally) -> None:
        self.cluster = Cluster.objects.get(pk=cluster_id)
        self.now, self.tally = now, tally
        values = cluster_values(self.cluster)
        self.ranges, self.capacity = Ranges.of(values), pod_capacity(values)

    def run(self) -> PlacementResult:
        """Raises LostRace as soon as somebody else's change gets in between."""
        recheck_pins(cluster=self.cluster)
        _forget_placed()
        if self.cluster.name != DEFAULT_CLUSTER:
            return PlacementResult()
        pool = read_pool(ask=lambda: Wanted.of(self.cluster, self.ranges, self.rules), now=self.now)
        plan, indexes = self._plan(pool)
        self._place_control_plane(plan.control_plane, indexes)
        for batch in _batches(plan.nodes):
            self._place_nodes(batch, list(islice(indexes, len(batch))))
        waiting = {**pool.barred, **plan.waiting}
        self._write_waiting(waiting, pool)
        return PlacementResult(
            self.tally.control_plane, self.tally.nodes, len(waiting), plan.next_at
        )

    # --- what to do ----------------------------------------------------------------------------

    @cached_property
    def rules(self) -> Mapping[str, Requirements]:
        """What each role asks for; read when there is a machine to place."""
        return read_requirements(self.cluster)

    def _plan(self, pool: Pool) -> tuple[Plan, Iterator[int]]:
        """The plan, cut to the pod networks that are left, and those networks' numbers."""
        if not pool.candidates:
            return Plan(), iter(())
        if not self.cluster.is_scheduling_enabled:
            wait = Wait(WaitCode.DISABLED, "scheduling is disabled in the cluster")
            return Plan(waiting={c.key: wait for c in pool.candidates}), iter(())
        rows = Assignment.objects.filter(cluster=self.cluster)
        placed = list(rows.values_list("machine_id", "pod_index", "profile"))
        free = list(free_indexes((index for _, index, _ in placed), self.capacity))
        plan = plan_placement(
            policy=self._policy(),
            members=self._held({pk: profile for pk, _, profile in placed}),
            candidates=pool.candidates,
            now=self.now,
        )
        return _cut(plan, len(free)), iter(free)

    def _policy(self) -> Policy:
        control_plane, node = self.rules[RuleRole.CONTROL_PLANE], self.rules[RuleRole.NODE]
        return Policy(
            size=self.cluster.control_plane_size,
            spread=self.cluster.spread,
            settle_seconds=self.cluster.settle_seconds,
            spares=control_plane.spares,
            node_spares=node.spares,
            node_count=node.count,
        )

    def _held(self, profiles: Mapping[int, str]) -> Held:
        """Where the machines stand that have a role; of nodes only when they are counted."""
        level = self.cluster.spread_level
        members = [pk for pk, profile in profiles.items() if profile != PROFILE_NODE]
        nodes = [pk for pk, profile in profiles.items() if profile == PROFILE_NODE]
        is_counted = self.rules[RuleRole.NODE].count is not None
        known = locations_of([*members, *(nodes if is_counted else ())])
        # Who was released and forgotten just now stands nowhere; then this pass loses its race.
        places = {pk: known.get(pk, UNKNOWN) for pk in profiles}
        inside = (name for pk in members for name in finer_domains(places[pk], level))
        return Held(
            control_plane=[places[pk].domain(level) for pk in members],
            nodes=[places[pk].domain(level) for pk in nodes] if is_counted else (),
            finer=tuple(inside),
        )

    # --- writing -------------------------------------------------------------------------------

    def _place_control_plane(self, chosen: Sequence[Candidate], indexes: Iterator[int]) -> None:
        """All of `chosen` in one transaction, or LostRace when one of them changed meanwhile."""
        if not chosen:
            return
        try:
            placed = self._place(chosen, CONTROL_PLANE_ROLES, indexes, is_all_needed=True)
        except IntegrityError as error:
            raise LostRace(self.cluster.name) from error
        self.tally.control_plane += len(placed)

    def _place_nodes(self, batch: Sequence[Candidate], numbers: Sequence[int]) -> None:
        """Place a batch; one machine that cannot be written does not hold up the others."""
        try:
            self.tally.nodes += len(self._place(batch, (RoleName.NODE,), iter(numbers)))
        except IntegrityError:
            if len(batch) == 1:
                logger.warning("the machine with MAC %s could not be placed now", batch[0].mac)
                return
            half = len(batch) // 2
            self._place_nodes(batch[:half], numbers[:half])
            self._place_nodes(batch[half:], numbers[half:])

    def _place(
        self,
        batch: Sequence[Candidate],
        roles: Sequence[RoleName],
        indexes: Iterator[int],
        *,
        is_all_needed: bool = False,
    ) -> set[int]:
        """Write the assignments of `batch`; returns the ids of the machines that were placed.

        Facts are read again right before, so that what is pinned is what the machine reports
        now; a machine whose boot MAC or address moved meanwhile waits for the next pass.
        """
        facts = current_facts(Machine.objects.filter(pk__in=[c.key for c in batch]))
        assignments = [
            new_assignment(
                machine_id=candidate.key,
                cluster=self.cluster,
                profile=profile_of(roles),
                facts=facts[candidate.key],
                pod_index=next(indexes),
                at=self.now,
                by=ACTOR,
            )
            for candidate in batch
            if candidate.key in facts
            and facts[candidate.key].has_address
            and facts[candidate.key].boot_mac == candidate.mac
        ]
        if is_all_needed and len(assignments) < len(batch):
            raise LostRace(self.cluster.name)
        with transaction.atomic():
            claim_cluster(self.cluster)  # nobody else gave or took a role since the plan was made
            self._write(assignments, roles)
        note_claim(self.cluster)
        return {assignment.machine_id for assignment in assignments}

    def _write(self, assignments: Sequence[Assignment], roles: Sequence[RoleName]) -> None:
        Assignment.objects.bulk_create(assignments)
        AssignedRole.objects.bulk_create(
            AssignedRole(assignment=assignment, role=role, position=position)
            for assignment in assignments
            for position, role in enumerate(roles)
        )
        ids = [assignment.machine_id for assignment in assignments]
        Waiting.objects.filter(machine__in=ids).delete()
        message = f"Assigned {', '.join(roles)} in cluster {self.cluster}"
        record_events(kind="role_assigned", messages=dict.fromkeys(ids, message), actor=ACTOR)
        announce_intent(self.cluster.pk)

    def _write_waiting(self, waiting: Mapping[int, Wait], pool: Pool) -> None:
        """Write the reasons that changed since the last pass."""
        eligible_at = {candidate.key: candidate.eligible_at for candidate in pool.candidates}
        rows = [
            _waiting_row(machine_id, wait, eligible_at.get(machine_id), pool, self.now)
            for machine_id, wait in waiting.items()
            if not _says(pool.known.get(machine_id), wait, eligible_at.get(machine_id))
        ]
        for batch in _batches(rows):
            try:
                with transaction.atomic():
                    claim_cluster(self.cluster)
                    Waiting.objects.bulk_create(
                        batch,
                        update_conflicts=True,
                        unique_fields=["machine"],
                        update_fields=["code", "reason", "since", "eligible_at"],
                    )
            except IntegrityError as error:  # a machine was forgotten in between
                raise LostRace(self.cluster.name) from error
            note_claim(self.cluster)


def _waiting_row(
    machine_id: int, wait: Wait, eligible_at: datetime | None, pool: Pool, now: datetime
) -> Waiting:
    known = pool.known.get(machine_id)
    since = known.since if known is not None and known.code == wait.code else now
    return Waiting(
        machine_id=machine_id,
        code=wait.code,
        reason=wait.reason[:300],
        since=since,
        eligible_at=eligible_at,
    )


def _says(known: Known | None, wait: Wait, eligible_at: datetime | None) -> bool:
    return known is not None and (known.code, known.reason, known.eligible_at) == (
        wait.code,
        wait.reason[:300],
        eligible_at,
    )


def _cut(plan: Plan, room: int) -> Plan:
    """The plan without those for whom no pod network is left; they wait and say so."""
    wait = Wait(WaitCode.FULL, "no pod network is left in the cluster's range")
    placed = (*plan.control_plane, *plan.nodes)
    if len(plan.control_plane) > room:
        return Plan(waiting={candidate.key: wait for candidate in placed})
    nodes = plan.nodes[: room - len(plan.control_plane)]
    rest = plan.nodes[len(nodes) :]
    waiting = {**plan.waiting, **{candidate.key: wait for candidate in rest}}
    return Plan(plan.control_plane, nodes, waiting, plan.next_at)


def _forget_placed() -> None:
    """Drop reasons of machines that have a role by now."""
    stale = Waiting.objects.filter(machine__assignment__isnull=False)
    if stale.exists():
        stale.delete()


def _batches(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))
