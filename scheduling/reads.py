"""Reads of intent that several parts share, so that all of them see the same list in one order.

Everything here answers with a constant number of queries, whatever the fleet's size.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Exists, OuterRef, QuerySet

from enjoliver.common.times import rfc3339
from machines.locations import locations_of
from machines.models import Disk, Interface, Machine
from scheduling.models import AssignedRole, Assignment, Cluster, Waiting
from scheduling.roles import PROFILE_CONTROL_PLANE, RoleName

SEPARATOR = "&"


@dataclass(frozen=True, slots=True)
class ControlPlaneMember:
    """One member of the control plane: its pinned facts, as every other machine sees it."""

    machine_id: int
    mac: str
    ipv4: str
    fqdn: str

    @property
    def name(self) -> str:
        """Its host name, else its address."""
        return self.fqdn or self.ipv4


def control_plane_members(cluster: Cluster) -> tuple[ControlPlaneMember, ...]:
    """The machines with the complete control-plane role set, by address (10.0.0.9 before .10).

    The order is that of `role_addresses`, so that `/scheduler/ip-list/…` and `/metadata` agree.
    """
    rows = Assignment.objects.filter(
        cluster=cluster, profile=PROFILE_CONTROL_PLANE, ipv4__isnull=False
    ).values_list("machine_id", "boot_mac", "ipv4", "fqdn")
    members = [ControlPlaneMember(pk, mac, ipv4 or "", fqdn) for pk, mac, ipv4, fqdn in rows]
    return tuple(sorted(members, key=lambda member: (_numeric(member.ipv4), member.mac)))


def domains_of(machine_ids: Collection[int], level: str) -> dict[int, str]:
    """The failure domain of each of `machine_ids` at `level` (`machines.topology.Level`).

    Text like `site:dc1/rack:7`, equal for machines that fail together; "" when unknown. Every
    machine that exists is in the answer. One query whatever the number; a few more when machines
    came by another way than a report.
    """
    return {pk: place.domain(level) for pk, place in locations_of(machine_ids).items()}


def role_addresses(role: str) -> list[str]:
    """The pinned boot addresses of all holders of one role, in numeric order."""
    rows = Assignment.objects.filter(roles__role=role).values_list("ipv4", flat=True)
    return sorted((address for address in rows if address), key=_numeric)


def roles_by_mac(assignments: QuerySet[Assignment] | None = None) -> dict[str, list[str]]:
    """Boot MAC to roles in the order they were given, for `assignments` (default: all)."""
    roles = AssignedRole.objects.order_by("assignment__assigned_at", "assignment_id", "position")
    if assignments is not None:
        roles = roles.filter(assignment__in=assignments.values("pk"))
    by_mac: dict[str, list[str]] = defaultdict(list)
    for mac, role in roles.values_list("assignment__boot_mac", "role"):
        by_mac[mac].append(role)
    return dict(by_mac)


def assignments_of_mac(mac: str) -> QuerySet[Assignment]:
    """The assignment that holds `mac` as its boot MAC, else those of machines that have it."""
    held = Assignment.objects.filter(boot_mac=mac)
    if held.exists():
        return held
    owners = Interface.objects.filter(mac=mac).order_by().values("machine_id")
    return Assignment.objects.filter(machine__in=owners)


def role_holders(text: str) -> list[dict[str, Any]]:
    """The documents of `/scheduler/<role>`.

    One role: its holders, `roles` is that text. Several joined by `&`: machines whose set of
    roles is exactly that, `roles` the list as asked. Unknown or repeated roles: nobody.
    """
    asked = text.split(SEPARATOR)
    if not set(asked) <= set(RoleName.values) or len(set(asked)) != len(asked):
        return []
    holders = Assignment.objects.all()
    for role in asked:
        holds = AssignedRole.objects.filter(assignment=OuterRef("pk"), role=role)
        holders = holders.filter(Exists(holds))
    if len(asked) > 1:
        holders = holders.annotate(held=Count("roles")).filter(held=len(asked))
    disks = _disks(Disk.objects.filter(machine__assignment__in=holders.values("pk")))
    shown: str | list[str] = asked[0] if len(asked) == 1 else asked
    return [
        _holder_document(assignment, disks.get(assignment.machine_id, []), shown)
        for assignment in holders.select_related("machine").order_by(
            "machine__created_at", "machine_id"
        )
    ]


def available_machines() -> list[dict[str, Any]]:
    """The documents of `/scheduler/available`: machines without a role, oldest first."""
    interfaces = (
        Interface.objects.filter(is_boot=True, machine__assignment__isnull=True)
        .select_related("machine__waiting")
        .order_by("machine__created_at", "machine_id")
    )
    disks = _disks(Disk.objects.filter(machine__assignment__isnull=True))
    return [
        {
            "mac": interface.mac,
            "ipv4": interface.ipv4,
            "cidrv4": interface.cidrv4,
            "as_boot": True,
            "name": interface.name,
            "fqdn": interface.fqdn,
            "netmask": interface.netmask,
            "created_date": rfc3339(interface.machine.created_at),
            "disks": disks.get(interface.machine_id, []),
            "waiting": _why_it_waits(interface.machine),
        }
        for interface in interfaces
    ]


def _why_it_waits(machine: Machine) -> str | None:
    """In words; None before the scheduler looked at the machine."""
    try:
        return machine.waiting.reason
    except Waiting.DoesNotExist:
        return None


def unassigned_machines() -> QuerySet[Machine]:
    """Machines that hold no role in any cluster."""
    return Machine.objects.filter(assignment__isnull=True)


def _holder_document(
    assignment: Assignment, disks: list[dict[str, Any]], roles: str | list[str]
) -> dict[str, Any]:
    return {
        "mac": assignment.boot_mac,
        "ipv4": assignment.ipv4,
        "cidrv4": f"{assignment.ipv4}/{assignment.prefix}" if assignment.ipv4 else None,
        "gateway": assignment.gateway,
        "as_boot": True,
        "name": assignment.interface_name,
        "netmask": assignment.prefix,
        "roles": roles,
        "created_date": rfc3339(assignment.machine.created_at),
        "fqdn": assignment.fqdn or None,
        "disks": disks,
    }


def _disks(rows: QuerySet[Disk]) -> dict[int, list[dict[str, Any]]]:
    by_machine: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for machine_id, path, size in rows.values_list("machine_id", "path", "size_bytes"):
        by_machine[machine_id].append({"path": path, "size-bytes": size})
    return by_machine


def _numeric(address: str) -> int:
    return int(ipaddress.IPv4Address(address))
