"""Pinned facts: taken at assignment, compared with what machines report, approved by operators."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import F, Q

from enjoliver.common.errors import Conflict
from machines.models import ConflictKind, Interface, Machine, MachineConflict
from machines.services import close_conflicts, open_conflict, record_event
from scheduling.facts import CurrentFacts, current_facts
from scheduling.models import Assignment, Cluster
from scheduling.services.claims import lock_cluster
from scheduling.signals import announce_intent

_COMPARED = ("ipv4", "prefix", "gateway", "fqdn", "boot_mac")
RECHECK_LIMIT = 200


def new_assignment(
    *,
    machine_id: int,
    cluster: Cluster,
    profile: str,
    facts: CurrentFacts,
    pod_index: int,
    at: datetime,
    by: str,
) -> Assignment:
    """An unsaved assignment with the facts of this moment pinned."""
    return Assignment(
        machine_id=machine_id,
        cluster=cluster,
        profile=profile,
        pod_index=pod_index,
        assigned_at=at,
        assigned_by=by[:150],
        **facts.pinned(),
    )


def follow_facts(*, machine_id: int) -> bool:
    """Compare a machine whose facts changed with its pins; False when it has no role."""
    machine = Machine.objects.filter(pk=machine_id, assignment__isnull=False).first()
    if machine is None:
        return False
    check_pins(machine=machine)
    return True


def check_pins(*, machine: Machine) -> bool:
    """Open or close the machine's CHANGED_ADDRESS conflict; True when its pins agree.

    What a machine does not report any more (no name, no gateway) contradicts nothing.
    """
    assignment = Assignment.objects.filter(machine=machine).first()
    facts = current_facts(Machine.objects.filter(pk=machine.pk)).get(machine.pk)
    differences = find_differences(assignment, facts) if assignment and facts else []
    if not differences:
        close_conflicts(machine=machine, kind=ConflictKind.CHANGED_ADDRESS)
        return True
    subject = str(differences[0][2])[:64]
    detail = ", ".join(f"{name} {pinned} is now {now}" for name, pinned, now in differences)
    close_conflicts(machine=machine, kind=ConflictKind.CHANGED_ADDRESS, keep=(subject,))
    open_conflict(
        machine=machine, kind=ConflictKind.CHANGED_ADDRESS, subject=subject, detail=detail
    )
    return False


def find_differences(
    assignment: Assignment, facts: CurrentFacts
) -> list[tuple[str, object, object]]:
    """(name, pinned, reported) of each pinned fact that the machine now reports otherwise."""
    pairs = [(name, getattr(assignment, name), getattr(facts, name)) for name in _COMPARED]
    return [(name, pinned, now) for name, pinned, now in pairs if now and pinned != now]


def recheck_pins(*, cluster: Cluster) -> int:
    """Check every machine whose pins and conflict row disagree; returns how many were checked.

    Repairs what a lost message left behind. Two queries when there is nothing to do.
    """
    conflicting = set(
        MachineConflict.objects.filter(
            kind=ConflictKind.CHANGED_ADDRESS, machine__assignment__cluster=cluster
        ).values_list("machine_id", flat=True)
    )
    wrong = sorted(_differing(cluster) ^ conflicting)[:RECHECK_LIMIT]
    for machine in Machine.objects.filter(pk__in=wrong):
        try:
            check_pins(machine=machine)
        except IntegrityError:
            if Machine.objects.filter(pk=machine.pk).exists():
                raise
            # It was forgotten just now, and contradicts nothing.
    return len(wrong)


def approve_pins(*, assignment: Assignment, actor: str) -> list[str]:
    """Pin the facts that the machine reports now; returns the changed facts as texts.

    The machine's configuration follows at the next sync. Raises Conflict when another machine
    holds the new boot MAC or the machine has no usable address.
    """
    machine = assignment.machine
    try:
        with transaction.atomic():
            lock_cluster(assignment.cluster_id)
            changes = _pin(assignment)
            if changes:
                record_event(
                    kind="pins_approved",
                    message=f"Approved new facts: {', '.join(changes)}",
                    machine=machine,
                    actor=actor,
                )
                announce_intent(assignment.cluster_id)
            close_conflicts(machine=machine, kind=ConflictKind.CHANGED_ADDRESS)
    except IntegrityError as error:
        raise Conflict(
            f"another machine holds the boot MAC of {machine}", kind="mac_held"
        ) from error
    return changes


def _pin(assignment: Assignment) -> list[str]:
    facts = current_facts(Machine.objects.filter(pk=assignment.machine_id)).get(
        assignment.machine_id
    )
    if facts is None or not facts.has_address:
        raise Conflict(f"{assignment.machine} reports no usable address", kind="no_address")
    fields = facts.pinned()
    changed = {name: now for name, now in fields.items() if getattr(assignment, name) != now}
    texts = [f"{name} {getattr(assignment, name)} → {now}" for name, now in changed.items()]
    if changed and not Assignment.objects.filter(pk=assignment.pk).update(**changed):
        raise Conflict(f"{assignment.machine} was released at the same moment", kind="no_role")
    for name, now in changed.items():
        setattr(assignment, name, now)
    return texts


def _differing(cluster: Cluster) -> set[int]:
    """The machines of the cluster that `find_differences` has something to say about."""
    pinned = "machine__assignment__"
    differs = Q(ipv4__isnull=False) & ~Q(ipv4=F(f"{pinned}ipv4"))
    differs |= Q(netmask__gt=0) & ~Q(netmask=F(f"{pinned}prefix"))
    differs |= Q(gateway__isnull=False) & ~Q(gateway=F(f"{pinned}gateway"))
    differs |= Q(fqdn__gt="") & ~Q(fqdn=F(f"{pinned}fqdn"))
    differs |= ~Q(mac=F(f"{pinned}boot_mac"))
    rows: Iterable[int] = (
        Interface.objects.filter(differs, is_boot=True, machine__assignment__cluster=cluster)
        .order_by()
        .values_list("machine_id", flat=True)
    )
    return set(rows)
