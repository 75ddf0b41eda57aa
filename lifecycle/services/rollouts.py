"""Rollouts: made when machines are behind, started, paused, resumed, given up."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone

from enjoliver.common.errors import Conflict, InvalidInput, NotFound
from lifecycle.models import (
    PolicyMember,
    RollingPolicy,
    Rollout,
    RolloutMachine,
    RolloutState,
    Slot,
)
from lifecycle.rules.order import Place, arrange, resolve_order, wave_of
from lifecycle.rules.stages import Stage, plan_stages, stage_of
from lifecycle.rules.states import (
    ABORTED,
    ACTIVE_STATES,
    FAILED,
    OPEN,
    PAUSED,
    READY,
    RUNNING,
    SKIPPED,
    SUPERSEDED,
    UPDATING,
    WAITING,
)
from lifecycle.services.away import heard_since
from lifecycle.services.clocks import taking_slots
from lifecycle.services.currency import as_flag, runs_desired
from lifecycle.services.leases import renew_leases
from machines.models import Machine
from machines.services import record_event
from matchbox_sync.models import Revision
from matchbox_sync.services import assign_revisions, previous_content, roll_back
from scheduling.models import Cluster

ENGINE = "rollouts"
"""The author of what the engine does by itself."""
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
    there is nothing to do.
    """
    newest = Revision.objects.filter(cluster=cluster).order_by("-number").first()
    if newest is None or newest.completed_at is None:
        return []
    made = []
    for policy_id, behind in _by_policy(_read_behind(_unplaced(cluster))).items():
        policy = RollingPolicy.objects.select_related("cluster").get(pk=policy_id)
        made += _ensure(policy, behind, newest, now)
    return made


def _unplaced(cluster: Cluster) -> QuerySet[PolicyMember]:
    """Members that are behind and have no place for this target in any rollout of their policy."""
    placed = RolloutMachine.objects.filter(
        machine_id=OuterRef("machine_id"),
        rollout__policy_id=OuterRef("policy_id"),
        to_number=OuterRef("machine__desired__newest__revision__number"),
    )
    return _members_behind().filter(policy__cluster=cluster).exclude(Exists(placed))


def _members_behind() -> QuerySet[PolicyMember]:
    is_held = ~Q(machine__desired__config_id=F("machine__desired__newest_id"))
    is_outdated = Q(machine__ignition_report__isnull=False, is_current=False)
    members = PolicyMember.objects.filter(policy__is_enabled=True, machine__desired__isnull=False)
    return (
        members.annotate(is_current=as_flag(runs_desired()))
        .filter(is_held | is_outdated)  # type: ignore[misc] # the annotation is not known to it
        .order_by("pk")
    )


def _read_behind(rows: QuerySet[PolicyMember]) -> list[Behind]:
    found = rows.values_list(
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
        behind = [one for one in _read_behind(_unplaced_of(policy)) if not one.is_free]
    elif active:
        _append(active, behind)
        return []
    return [made] if (made := make_rollout(policy, newest, behind, ENGINE, now)) else []


def _unplaced_of(policy: RollingPolicy) -> QuerySet[PolicyMember]:
    return _unplaced(policy.cluster).filter(policy=policy)


def active_rollout(policy: RollingPolicy) -> Rollout | None:
    """The policy's rollout that has not ended."""
    return Rollout.objects.filter(policy=policy, state__in=ACTIVE_STATES).first()


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
    so. None when another worker made one at the same moment."""
    if not behind:
        return None
    is_started = policy.starts == "auto" if starts is None else starts
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
    try:
        with transaction.atomic():
            rollout.save()
            places = _arranged(behind, order, policy.silent_seconds, now)
            _store_places(rollout, places, stages, first=0)
            how = "has begun" if is_started else "is ready to be started"
            record_event(
                kind="rollout_made",
                message=f"{_named(rollout)} {how}: {len(behind)} machines, {order}",
                actor=actor,
            )
    except IntegrityError:
        return None
    return rollout


def _named(rollout: Rollout) -> str:
    return str(rollout).capitalize()


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


def _store_places(
    rollout: Rollout,
    places: Sequence[tuple[Behind, int]],
    stages: Sequence[Stage],
    *,
    first: int,
) -> None:
    rows = [
        RolloutMachine(
            rollout=rollout,
            machine_id=one.machine_id,
            position=position,
            stage=stage_of(stages, position),
            wave=wave,
            from_number=one.from_number,
            to_number=one.to_number,
        )
        for position, (one, wave) in enumerate(places, start=first)
    ]
    RolloutMachine.objects.bulk_create(rows, batch_size=BATCH, ignore_conflicts=first > 0)


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
            _store_places(rollout, places, stages, first=first)


# --- what operators say --------------------------------------------------------------------------


def start_rollout(*, policy: RollingPolicy, actor: str, now: datetime | None = None) -> Rollout:
    """Start the policy's rollout that is ready, or make one over every machine that is behind, also
    those that an earlier one left out or gave up.

    Raises Conflict while another one is active, or when no machine is behind.
    """
    now = now or timezone.now()
    active = active_rollout(policy)
    if active:
        if active.state != READY:
            raise Conflict(f"{active} is {active.state} already", kind="active_rollout")
        return _move(active, (READY,), RUNNING, actor, "", now, started_at=now)
    newest = (
        Revision.objects.filter(cluster=policy.cluster, completed_at__isnull=False)
        .order_by("-number")
        .first()
    )
    rows = _members_behind().filter(policy=policy)
    behind = [one for one in _read_behind(rows) if not one.is_free]
    if newest is None or not behind:
        raise Conflict(f"no machine of policy {policy} is behind", kind="nothing_to_do")
    made = make_rollout(policy, newest, behind, actor, now, starts=True)
    if made is None:
        raise Conflict(f"another rollout of policy {policy} was made at this moment")
    return made


def pause_rollout(
    *, rollout: Rollout, actor: str, reason: str, now: datetime | None = None
) -> Rollout:
    """Stop at once: no machine that has not taken its slot may begin. Raises InvalidInput without a
    reason, Conflict unless it is running."""
    now = now or timezone.now()
    if not reason.strip():
        raise InvalidInput("a reason is needed", fields={"reason": "required"})
    text = f"by {actor}: {reason.strip()}"
    return _move(rollout, (RUNNING,), PAUSED, actor, text, now)


def pause_by_engine(*, policy_id: int | None, reason: str, now: datetime) -> None:
    """Pause the running rollout of a policy, if there is one, and raise an alert."""
    rollout = Rollout.objects.filter(policy_id=policy_id, state=RUNNING).first()
    if rollout is not None:
        with suppress(Conflict):  # it stopped at this moment
            _move(rollout, (RUNNING,), PAUSED, "", reason, now, level="error")


def resume_rollout(*, rollout: Rollout, actor: str, now: datetime | None = None) -> Rollout:
    """Let a paused rollout go on; machines that failed get another try, and as much time again.

    A rollout that is ready begins; one that waits for a confirmation of its next stage has it.
    Raises Conflict when there is nothing to resume.
    """
    now = now or timezone.now()
    rollout.refresh_from_db()
    if rollout.state == READY:
        return _move(rollout, (READY,), RUNNING, actor, "", now, started_at=now)
    if rollout.state == RUNNING:
        return confirm_stage(rollout=rollout, actor=actor, now=now)
    with taking_slots(rollout.cluster_id):
        moved = _move(
            rollout, (PAUSED,), RUNNING, actor, "", now, details="", gates_failing_since=None
        )
        _retry_failed(moved, now)
    return moved


def _retry_failed(rollout: Rollout, now: datetime) -> None:
    failed = rollout.machines.filter(state=FAILED)
    ids = list(failed.values_list("machine_id", flat=True))
    holders = set(Slot.objects.filter(machine_id__in=ids).values_list("machine_id", flat=True))
    blank = {"reason": "", "returned_at": None, "ready_at": None, "finished_at": None}
    failed.filter(machine_id__in=holders).update(state=UPDATING, updating_at=now, **blank)
    failed.exclude(machine_id__in=holders).update(
        state=OPEN, opened_at=now, updating_at=None, deadline_at=None, **blank
    )
    renew_leases(rollout, sorted(holders), now)


def confirm_stage(*, rollout: Rollout, actor: str, now: datetime | None = None) -> Rollout:
    """Let the next stage begin that asks for it. Raises Conflict when none does."""
    now = now or timezone.now()
    following = rollout.stage + 1
    asks = following < len(rollout.stages) and rollout.stages[following]["needs_confirmation"]
    if not asks or rollout.confirmed_stage >= following:
        raise Conflict(f"{rollout} waits for no confirmation", kind="nothing_to_do")
    moved = _move(rollout, (RUNNING,), RUNNING, actor, "", now, confirmed_stage=following)
    record_event(
        kind="rollout_confirmed",
        message=f"Stage {following + 1} of {rollout} may begin",
        actor=actor,
    )
    return moved


def skip_machine(
    *,
    rollout: Rollout,
    machine: Machine,
    actor: str,
    reason: str,
    now: datetime | None = None,
) -> RolloutMachine:
    """Leave a machine out. If it has not begun, its desired config goes back to what it was.

    Raises InvalidInput without a reason, NotFound when it has no place, Conflict when it is done.
    """
    now = now or timezone.now()
    if not reason.strip():
        raise InvalidInput("a reason is needed", fields={"reason": "required"})
    with taking_slots(rollout.cluster_id):
        place = rollout.machines.filter(machine=machine).first()
        if place is None:
            raise NotFound(f"{machine} has no place in {rollout}")
        if place.state not in (WAITING, OPEN, UPDATING, FAILED) or not rollout.is_active:
            raise Conflict(f"{machine} is {place.state} in {rollout}")
        Rollout.objects.filter(pk=rollout.pk).update(version=F("version") + 1)
        text = f"left out by {actor}: {reason.strip()}"[:500]
        rollout.machines.filter(pk=place.pk).update(
            state=SKIPPED, reason=text, finished_at=now, deadline_at=None
        )
        if place.state != WAITING:
            send_back(rollout, [place], actor)
        record_event(kind="rollout_skipped", message=f"{rollout}: {text}", machine=machine)
    place.refresh_from_db()
    return place


def abort_rollout(
    *, rollout: Rollout, actor: str, reason: str, now: datetime | None = None
) -> Rollout:
    """Give a rollout up: machines that have not begun keep what they have, those that are at it
    finish. Raises InvalidInput without a reason, Conflict when it has ended."""
    now = now or timezone.now()
    if not reason.strip():
        raise InvalidInput("a reason is needed", fields={"reason": "required"})
    with taking_slots(rollout.cluster_id):
        text = f"by {actor}: {reason.strip()}"
        moved = _move(rollout, ACTIVE_STATES, ABORTED, actor, text, now, ended_at=now)
        _leave_out(moved, "the rollout was aborted", actor, now)
    return moved


def supersede(rollout: Rollout, revision: Revision, now: datetime) -> None:
    """A newer revision takes an active rollout's place."""
    with taking_slots(rollout.cluster_id):
        text = f"by revision {revision.number}"
        try:
            moved = _move(rollout, ACTIVE_STATES, SUPERSEDED, ENGINE, text, now, ended_at=now)
        except Conflict:
            return  # it ended at this moment
        _leave_out(moved, f"superseded {text}", ENGINE, now)


def _leave_out(rollout: Rollout, reason: str, actor: str, now: datetime) -> None:
    back = list(rollout.machines.filter(state__in=(OPEN, FAILED)))
    rollout.machines.filter(state__in=(WAITING, OPEN)).update(
        state=SKIPPED, reason=reason, finished_at=now, deadline_at=None
    )
    send_back(rollout, back, actor)


def send_back(rollout: Rollout, places: Sequence[RolloutMachine], actor: str) -> None:
    """Their desired config is again the one from before, unless they run the new one already or
    hold a slot: then they are at it. A few queries for each revision that they came from."""
    ids = [place.machine_id for place in places]
    busy = set(Slot.objects.filter(machine_id__in=ids).values_list("machine_id", flat=True))
    current = set(
        rollout.machines.filter(runs_desired(), machine_id__in=ids).values_list(
            "machine_id", flat=True
        )
    )
    numbers: dict[int, list[int]] = defaultdict(list)
    for place in places:
        if place.machine_id not in busy | current:
            numbers[place.from_number].append(place.machine_id)
    revisions = Revision.objects.filter(cluster=rollout.cluster_id, number__in=list(numbers))
    for revision in revisions:
        assign_revisions(machine_ids=numbers[revision.number], actor=actor, revision=revision)


def roll_back_rollout(
    *, rollout: Rollout, actor: str, reason: str, now: datetime | None = None
) -> Revision:
    """Make the content that the rollout came from the newest revision again; it goes through the
    machines under the same policies. Gives an active rollout up first.

    Raises InvalidInput without a reason, Conflict when there is nothing to go back to.
    """
    if not reason.strip():
        raise InvalidInput("a reason is needed", fields={"reason": "required"})
    earlier = Revision.objects.filter(
        cluster=rollout.cluster, number=rollout.from_number
    ).first() or (previous_content(rollout.revision) if rollout.revision else None)
    if earlier is None or earlier.number >= rollout.revision_number:
        raise Conflict(f"{rollout} has nothing to go back to", kind="nothing_to_do")
    made = roll_back(cluster=rollout.cluster, revision=earlier, actor=actor, reason=reason)
    if Rollout.objects.filter(pk=rollout.pk, state__in=ACTIVE_STATES).exists():
        text = f"rolled back: {reason}"
        abort_rollout(rollout=rollout, actor=actor, reason=text, now=now)
    return made


def _move(
    rollout: Rollout,
    start: Sequence[str],
    end: str,
    actor: str,
    reason: str,
    now: datetime,
    *,
    level: str = "info",
    **changes: Any,
) -> Rollout:
    """Compare-and-swap of the state; raises Conflict when it was in none of `start`."""
    with transaction.atomic():
        mine = Rollout.objects.filter(pk=rollout.pk, state__in=start)
        if not mine.update(
            version=F("version") + 1, state=end, reason=reason[:500], changed_at=now, **changes
        ):
            rollout.refresh_from_db()
            raise Conflict(f"{rollout} is {rollout.state}", kind="wrong_state")
        fresh = Rollout.objects.select_related("policy", "cluster", "revision").get(pk=rollout.pk)
        if end not in start:
            word = RolloutState(end).label
            text = f": {reason}" if reason else ""
            record_event(
                kind=f"rollout_{end}",
                level=level,
                message=f"{_named(fresh)} is {word}{text}",
                actor=actor,
            )
    return fresh


def prune_rollouts(*, before: datetime) -> int:
    """Forget rollouts that ended before `before`; returns how many."""
    ended = Rollout.objects.filter(ended_at__lt=before)
    ids = list(ended.values_list("pk", flat=True)[:BATCH])
    Rollout.objects.filter(pk__in=ids).delete()
    return len(ids)
