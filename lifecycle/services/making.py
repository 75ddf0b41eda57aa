"""Rollouts are made: of whom, in which order, in which stages."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet

from enjoliver.common.passes import Pieces
from enjoliver.common.words import counted
from lifecycle.models import PolicyMember, RollingPolicy, Rollout, RolloutMachine
from lifecycle.rules.order import Place, arrange, resolve_order, wave_of
from lifecycle.rules.stages import Stage, plan_stages, stage_of
from lifecycle.rules.states import ACTIVE_STATES, READY, RUNNING
from lifecycle.services.away import heard_since
from lifecycle.services.currency import as_flag, runs_desired
from lifecycle.services.moves import ENGINE, active_rollout, named, supersede
from machines.services import record_event
from matchbox_sync.models import Revision
from matchbox_sync.services import assign_revisions
from scheduling.models import Cluster

BATCH = 500


@dataclass(frozen=True, slots=True)
class Behind:
    """A member of a policy that does not run the newest config of its machine.

    `is_free`: giving it the newest config makes nobody go away, for it is the same document, or the
    machine is not in service yet.
    """

    machine_id: int
    policy_id: int
    is_control_plane: bool
    name: str
    from_number: int
    to_number: int
    reported_at: datetime | None
    is_free: bool


# --- who is behind -------------------------------------------------------------------------------


def ensure_rollouts(*, cluster: Cluster, now: datetime) -> list[Rollout]:
    """Make what is missing: a rollout for each policy with machines that are behind and that no
    rollout has had a place for yet. Returns those that were made.

    An active rollout of an older revision is superseded; one of this revision gets the places
    added at its end. Nothing is made while a revision is still being rendered. One query while
    there is nothing to do. A policy whose rollout cannot be made stops no other, and is raised
    after them.
    """
    newest = Revision.objects.filter(cluster=cluster).order_by("-number").first()
    if newest is None or newest.completed_at is None:
        return []
    made, pieces = list[Rollout](), Pieces()
    for policy_id, behind in _by_policy(read_behind(_unplaced(cluster))).items():
        with pieces.piece():
            policy = RollingPolicy.objects.select_related("cluster").filter(pk=policy_id).first()
            if policy is not None:  # else it went since its members were read
                made += _ensure(policy, behind, newest, now)
    pieces.finish()
    return made


def _unplaced(cluster: Cluster) -> QuerySet[PolicyMember]:
    """Members that are behind and have no place for this target in any rollout of their policy."""
    placed = RolloutMachine.objects.filter(
        machine_id=OuterRef("machine_id"),
        rollout__policy_id=OuterRef("policy_id"),
        to_number=OuterRef("machine__desired__newest__revision__number"),
    )
    return members_behind().filter(policy__cluster=cluster).exclude(Exists(placed))


def members_behind() -> QuerySet[PolicyMember]:
    is_held = ~Q(machine__desired__config_id=F("machine__desired__newest_id"))
    reported = Q(machine__ignition_report__isnull=False)
    members = PolicyMember.objects.filter(policy__is_enabled=True, machine__desired__isnull=False)
    flagged = members.annotate(
        is_current=as_flag(runs_desired()),
        is_behind=as_flag(is_held | (reported & ~runs_desired())),
    )
    return flagged.filter(is_behind=True).order_by("pk")


def read_behind(rows: QuerySet[PolicyMember]) -> list[Behind]:
    found = rows.values_list(  # type: ignore[misc] # the type does not carry the annotation
        "pk",
        "policy_id",
        "is_control_plane",
        "machine__assignment__fqdn",
        "machine__boot_mac",
        "machine__desired__config__revision__number",
        "machine__desired__newest__revision__number",
        "machine__desired__sha512",
        "machine__desired__newest__document_id",
        "machine__ignition_report__reported_at",
        "is_current",
    )
    return [_behind(*row) for row in found]


def _behind(
    machine_id: int,
    policy_id: int,
    is_control_plane: bool,
    fqdn: str | None,
    mac: str,
    from_number: int,
    to_number: int,
    desired: str,
    newest: str,
    reported_at: datetime | None,
    is_current: bool,
) -> Behind:
    return Behind(
        machine_id=machine_id,
        policy_id=policy_id,
        is_control_plane=is_control_plane,
        name=fqdn or mac,
        from_number=from_number,
        to_number=to_number,
        reported_at=reported_at,
        is_free=reported_at is None or (is_current and desired == newest),
    )


def _by_policy(behind: Iterable[Behind]) -> dict[int, list[Behind]]:
    found: dict[int, list[Behind]] = defaultdict(list)
    for one in behind:
        found[one.policy_id].append(one)
    return found


def _ensure(
    policy: RollingPolicy, behind: Sequence[Behind], newest: Revision, now: datetime
) -> list[Rollout]:
    free = [one.machine_id for one in behind if one.is_free]
    if free:
        assign_revisions(machine_ids=free, actor=ENGINE, revision=newest)
    behind = [one for one in behind if not one.is_free]
    if not behind:
        return []
    active = active_rollout(policy)
    if active and any(one.to_number > active.revision_number for one in behind):
        supersede(active, newest, now)
        behind = [one for one in read_behind(_unplaced_of(policy)) if not one.is_free]
    elif active:
        _append(active, behind)
        return []
    return [made] if (made := make_rollout(policy, newest, behind, ENGINE, now)) else []


def _unplaced_of(policy: RollingPolicy) -> QuerySet[PolicyMember]:
    return _unplaced(policy.cluster).filter(policy=policy)


# --- making one ----------------------------------------------------------------------------------


def make_rollout(
    policy: RollingPolicy,
    revision: Revision,
    behind: Sequence[Behind],
    actor: str,
    now: datetime,
    *,
    starts: bool | None = None,
) -> Rollout | None:
    """A rollout of `revision` over `behind`; it starts at once where its policy (or `starts`) says
    so, and when an operator goes back: they asked for it already. None when another worker made
    one at the same moment."""
    if not behind:
        return None
    is_wanted = policy.starts == "auto" or revision.back_to is not None
    is_started = is_wanted if starts is None else starts
    from_number = Counter(one.from_number for one in behind).most_common(1)[0][0]
    order = _resolve(policy, from_number, revision)
    stages = plan_stages(
        len(behind),
        canary_count=policy.canary_count,
        canary_soak_seconds=policy.canary_soak_seconds,
        stages=policy.stages,
    )
    rollout = Rollout(
        policy=policy,
        policy_name=policy.name,
        cluster=policy.cluster,
        revision=revision,
        revision_number=revision.number,
        from_number=from_number,
        state=RUNNING if is_started else READY,
        order=order,
        stages=[asdict(stage) for stage in stages],
        created_at=now,
        created_by=actor[:150],
        started_at=now if is_started else None,
        changed_at=now,
    )
    # Before the transaction: on SQLite everybody who writes waits for its end.
    places = _places(_arranged(behind, order, policy.silent_seconds, now), stages, first=0)
    try:
        with transaction.atomic():
            rollout.save()
            _store_places(rollout, places)
            how = "has begun" if is_started else "is ready to be started"
            record_event(
                kind="rollout_made",
                message=f"{named(rollout)} {how}: {counted(len(behind), 'machine')}, {order}",
                actor=actor,
            )
    except IntegrityError:
        return None
    return rollout


def _resolve(policy: RollingPolicy, from_number: int, revision: Revision) -> str:
    before = Revision.objects.filter(cluster=policy.cluster, number=from_number).first()
    # Without the values of before nobody can tell: then the kind of change does not matter.
    old = before.values if before and before.values else revision.values
    return resolve_order(policy.order, old, revision.values)


def _arranged(
    behind: Sequence[Behind], order: str, silent_seconds: int, now: datetime
) -> list[tuple[Behind, int]]:
    """In the order of the rollout, with their wave. Machines that are silent come last, so that no
    canary is one of them."""
    earliest, latest = heard_since(now, silent_seconds)
    known = {one.machine_id: one for one in behind}
    places = [
        Place(
            one.machine_id, one.is_control_plane, (not _is_fresh(one, earliest, latest), one.name)
        )
        for one in behind
    ]
    return [
        (known[place.machine_id], wave_of(order, is_control_plane=place.is_control_plane))
        for place in arrange(places, order)
    ]


def _is_fresh(one: Behind, earliest: datetime, latest: datetime) -> bool:
    return one.reported_at is not None and earliest <= one.reported_at <= latest


def _places(
    arranged: Sequence[tuple[Behind, int]], stages: Sequence[Stage], *, first: int
) -> list[RolloutMachine]:
    """Places in the order of `arranged` from position `first` on, of no rollout yet."""
    return [
        RolloutMachine(
            machine_id=one.machine_id,
            position=position,
            stage=stage_of(stages, position),
            wave=wave,
            from_number=one.from_number,
            to_number=one.to_number,
        )
        for position, (one, wave) in enumerate(arranged, start=first)
    ]


def _store_places(
    rollout: Rollout, places: Sequence[RolloutMachine], *, is_added: bool = False
) -> None:
    """`is_added`: another worker may have added the same machines at this moment."""
    for place in places:
        place.rollout_id = rollout.pk
    RolloutMachine.objects.bulk_create(places, batch_size=BATCH, ignore_conflicts=is_added)


def _append(rollout: Rollout, behind: Sequence[Behind]) -> None:
    """Machines that came later: at the end, in the last stage."""
    stages = [Stage(**stage) for stage in rollout.stages]
    places = [
        (one, wave_of(rollout.order, is_control_plane=one.is_control_plane))
        for one in sorted(behind, key=lambda one: one.name)
    ]
    with transaction.atomic():
        mine = Rollout.objects.filter(pk=rollout.pk, state__in=ACTIVE_STATES)
        if mine.update(version=F("version") + 1):
            first = rollout.machines.count()
            _store_places(rollout, _places(places, stages, first=first), is_added=True)
