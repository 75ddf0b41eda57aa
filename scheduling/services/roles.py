"""Roles by an operator's hand: give, release, let the scheduler have a machine again."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import IntegrityError, transaction
from django.utils import timezone

from enjoliver.common.errors import Conflict, NotAcceptable
from machines.models import ConflictKind, EventLevel, Machine, MachineConflict
from machines.services import close_conflicts, record_event
from machines.text import one_line
from scheduling.facts import current_facts
from scheduling.models import AssignedRole, Assignment, Cluster, Waiting
from scheduling.podnets import free_indexes, pod_capacity
from scheduling.roles import (
    KEPT_OUT,
    PROFILE_NODE,
    RoleName,
    WaitCode,
    is_possible,
    profile_of,
)
from scheduling.services.claims import lock_cluster
from scheduling.services.clusters import default_cluster
from scheduling.services.pins import new_assignment
from scheduling.signals import announce_intent
from scheduling.values import cluster_values


def assign_roles(*, machine: Machine, roles: Sequence[str], actor: str) -> Assignment:
    """Give `roles` to `machine` beside those it has, in this order; a repetition changes nothing.

    The first role pins the machine's facts and joins it to the default cluster. Conflicts of the
    machine do not forbid it: the operator decides, and the event says so. Raises NotAcceptable
    for an unknown role, Conflict for roles that cannot stand together, a boot MAC that another
    machine holds, a machine without address or retired, and a full pod network. Then nothing is
    changed.
    """
    wanted = list(dict.fromkeys(roles))
    check_role_names(wanted)
    held = Assignment.objects.filter(machine=machine).first()
    if held is not None and set(wanted) <= set(_held_roles(held)):
        return held
    try:
        with transaction.atomic():
            cluster = lock_cluster(held.cluster_id if held else default_cluster().pk)
            return give_roles(machine, cluster, wanted, actor)
    except IntegrityError as error:
        raise Conflict(
            f"{machine} was changed at the same moment; try again", kind="changed_meanwhile"
        ) from error


def check_role_names(roles: Sequence[str]) -> None:
    """Raise NotAcceptable when `roles` is empty or names an unknown role."""
    unknown = [role for role in roles if role not in RoleName.values]
    if unknown or not roles:
        known = ", ".join(RoleName.values)
        names = ", ".join(str(role)[:64] for role in unknown[:5]) or "no role"
        raise NotAcceptable(
            f"{names}: the roles are {known}",
            kind="unknown_role",
            fields={"roles": f"each one of {known}"},
        )


def release_machine(*, machine: Machine, actor: str, reason: str) -> None:
    """Take all roles from `machine` and keep the scheduler's hands off it.

    It stays without a role until an operator gives one (`assign_roles`) or lets the scheduler
    have it again (`readmit_machine`). Raises Conflict when it has no role.
    """
    with transaction.atomic():
        assignment, _ = _lock_assignment(machine)
        if assignment is None:
            raise Conflict(f"{machine} has no role", kind="no_role")
        take_roles(assignment, actor, reason)
        announce_intent(assignment.cluster_id)


def take_roles(assignment: Assignment, actor: str, reason: str) -> None:
    """End `assignment` inside the caller's transaction, under the cluster's lock."""
    machine = assignment.machine
    roles = ", ".join(_held_roles(assignment))
    deleted, _ = Assignment.objects.filter(pk=assignment.pk).delete()
    if not deleted:
        raise Conflict(f"{machine} was released at the same moment", kind="no_role")
    _keep_out(machine, WaitCode.RELEASED, f"released by {actor}: {reason or 'no reason given'}")
    close_conflicts(machine=machine, kind=ConflictKind.CHANGED_ADDRESS)
    record_event(
        kind="role_released",
        message=f"Released from {roles}: {reason or 'no reason given'}",
        machine=machine,
        actor=actor,
        level=EventLevel.WARNING,
    )


def retire_machine(*, machine: Machine, actor: str, reason: str) -> bool:
    """Take a machine out of service: no role now, and none later; False when it was already.

    Raises Conflict for a member of the control plane: that one is replaced, or released by hand.
    """
    with transaction.atomic():
        assignment, cluster_id = _lock_assignment(machine)
        if Waiting.objects.filter(machine=machine, code=WaitCode.RETIRED).exists():
            return False
        if assignment is not None:
            _refuse_member(assignment)
            take_roles(assignment, actor, reason)
        _keep_out(machine, WaitCode.RETIRED, f"retired by {actor}: {reason or 'no reason given'}")
        message = f"Retired: {reason or 'no reason given'}"
        record_event(kind="machine_retired", message=message, machine=machine, actor=actor)
        announce_intent(cluster_id)
    return True


def _lock_assignment(machine: Machine) -> tuple[Assignment | None, int]:
    """The machine's assignment, read under the lock of its cluster, and that cluster's id; without
    a role the one that it may get its role in."""
    rows = Assignment.objects.filter(machine=machine)
    cluster_id = rows.values_list("cluster_id", flat=True).first() or default_cluster().pk
    lock_cluster(cluster_id)
    assignment = rows.first()  # before the lock somebody else may have given or taken one
    if assignment is not None and assignment.cluster_id != cluster_id:
        raise Conflict(f"{machine} came to another cluster at the same moment", kind="no_role")
    return assignment, cluster_id


def _refuse_member(assignment: Assignment) -> None:
    if assignment.profile != PROFILE_NODE:
        raise Conflict(
            f"{assignment.machine} is a member of the control plane: replace it, which keeps the "
            "quorum, or release it first",
            kind="control_plane_member",
        )


def readmit_machine(*, machine: Machine, actor: str) -> bool:
    """Let the scheduler give a released or retired machine a role again; False for others."""
    with transaction.atomic():
        cluster = lock_cluster(default_cluster().pk)
        deleted, _ = Waiting.objects.filter(machine=machine, code__in=KEPT_OUT).delete()
        if not deleted:
            return False
        message = "The scheduler may give it a role again"
        record_event(kind="role_readmitted", message=message, machine=machine, actor=actor)
        announce_intent(cluster.pk)
    return True


def give_roles(machine: Machine, cluster: Cluster, wanted: Sequence[str], actor: str) -> Assignment:
    """Add `wanted` to the machine's roles in the caller's transaction, under the cluster's lock."""
    assignment = Assignment.objects.filter(machine=machine).first()
    held = _held_roles(assignment) if assignment else []
    new = [role for role in wanted if role not in held]
    if assignment is not None and not new:
        return assignment
    roles = [*held, *new]
    if not is_possible(roles):
        raise Conflict(
            f"{RoleName.NODE.value} cannot stand beside another role: {', '.join(roles)}",
            kind="impossible_roles",
        )
    if Waiting.objects.filter(machine=machine, code=WaitCode.RETIRED).exists():
        raise Conflict(
            f"{machine} is retired: let the scheduler have it again first", kind="retired"
        )
    if assignment is None:
        assignment = _create(machine, cluster, actor)
    assignment.profile = profile_of(roles)
    assignment.save()
    AssignedRole.objects.bulk_create(
        AssignedRole(assignment=assignment, role=role, position=position)
        for position, role in enumerate(roles)
        if role in new
    )
    Waiting.objects.filter(machine=machine).delete()
    _record(machine, cluster, new, actor)
    announce_intent(cluster.pk)
    return assignment


def _create(machine: Machine, cluster: Cluster, actor: str) -> Assignment:
    facts = current_facts(Machine.objects.filter(pk=machine.pk)).get(machine.pk)
    if facts is None or not facts.has_address:
        raise Conflict(f"{machine} reports no usable address", kind="no_address")
    holder = Assignment.objects.filter(boot_mac=facts.boot_mac).first()
    if holder is not None:
        raise Conflict(
            f"the MAC {facts.boot_mac} is held by another machine with a role "
            f"({holder.machine.uuid}): release that one first",
            kind="mac_held",
        )
    used = Assignment.objects.filter(cluster=cluster).values_list("pod_index", flat=True)
    pod_index = next(free_indexes(used, pod_capacity(cluster_values(cluster))), None)
    if pod_index is None:
        raise Conflict("no pod network is left in the cluster's range", kind="pod_network_full")
    return new_assignment(
        machine_id=machine.pk,
        cluster=cluster,
        profile="",
        facts=facts,
        pod_index=pod_index,
        at=timezone.now(),
        by=actor,
    )


def _held_roles(assignment: Assignment) -> list[str]:
    return list(assignment.roles.order_by("position").values_list("role", flat=True))


def _record(machine: Machine, cluster: Cluster, roles: Sequence[str], actor: str) -> None:
    message = f"Assigned {', '.join(roles)} in cluster {cluster}"
    kinds = MachineConflict.objects.filter(machine=machine).values_list("kind", flat=True)
    open_kinds = sorted({str(ConflictKind(kind).label) for kind in kinds})
    if open_kinds:
        message += f", although a conflict is open: {'; '.join(open_kinds)}"
    level = EventLevel.WARNING if open_kinds else EventLevel.INFO
    record_event(kind="role_assigned", message=message, machine=machine, actor=actor, level=level)


def _keep_out(machine: Machine, code: WaitCode, reason: str) -> None:
    Waiting.objects.update_or_create(
        machine=machine,
        defaults={
            "code": code,
            "reason": f"{one_line(reason, 240)}; waits for an operator",
            "since": timezone.now(),
            "eligible_at": None,
        },
    )
