"""What `/ui/view/*` shows: the whole fleet in a fixed number of queries."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import Any

from django.db.models import Sum
from django.utils import timezone

from enjoliver.common.times import rfc3339
from machines.disks import disk_profile
from machines.models import Disk, Interface, Machine, UnknownBoot
from machines.states import State
from scheduling.models import AssignedRole, Cluster
from scheduling.valuechecks import parse_ladder
from scheduling.values import merge_values

DISABLED = "Disable"
"""The 2018 project's word for a machine that may not update itself."""
LONGEST_MINUTES = 10 * 366 * 24 * 60
"""Nothing is older; keeps a huge number from overflowing a date."""


def machine_rows() -> list[dict[str, Any]]:
    """One row per machine, oldest first, in five queries whatever the fleet's size."""
    boot = {row["machine_id"]: row for row in _boot_interfaces()}
    disks = dict(
        Disk.objects.values_list("machine_id").annotate(total=Sum("size_bytes")).order_by()
    )
    roles = _roles()
    ladders = _ladders()
    return [
        {
            "MAC": machine["boot_mac"],
            "CIDR": boot.get(machine["pk"], {}).get("cidrv4") or None,
            "FQDN": boot.get(machine["pk"], {}).get("fqdn"),
            "Roles": ",".join(roles[machine["pk"]]),
            "DiskProfile": disk_profile(
                disks.get(machine["pk"], 0),
                ladders.get(machine["assignment__cluster_id"], ladders[None]),
            ),
            "LastState": machine["state"],
            "LastReport": rfc3339(machine["ignition_report__reported_at"]),
            "LastChange": rfc3339(machine["ignition_report__last_change_at"]),
            "UpToDate": machine["ignition_report__is_up_to_date"],
            "UpdateStrategy": machine["strategy__strategy"]
            if machine["strategy__is_enabled"]
            else DISABLED,
        }
        for machine in _machines()
    ]


def state_rows(*, minutes: int) -> list[dict[str, Any]]:
    """What machines, and MACs that no machine has, did in the last `minutes`; newest first."""
    if minutes <= 0:
        return []
    since = timezone.now() - timedelta(minutes=min(minutes, LONGEST_MINUTES))
    names = {row["machine_id"]: row["fqdn"] for row in _boot_interfaces()}
    known = Machine.objects.filter(state_at__gte=since).values_list(
        "state_at", "boot_mac", "state", "pk"
    )
    unknown = UnknownBoot.objects.filter(last_at__gte=since).values_list("last_at", "mac")
    moves = [(at, mac, state, names.get(pk)) for at, mac, state, pk in known]
    moves += [(at, mac, State.BOOTING.value, None) for at, mac in unknown]
    return [
        {"mac": mac, "fqdn": fqdn, "state": state, "date": rfc3339(at)}
        for at, mac, state, fqdn in sorted(moves, key=lambda move: (move[0], move[1]), reverse=True)
    ]


def _machines() -> Any:
    return Machine.objects.order_by("created_at", "pk").values(
        "pk",
        "boot_mac",
        "state",
        "assignment__cluster_id",
        "ignition_report__reported_at",
        "ignition_report__last_change_at",
        "ignition_report__is_up_to_date",
        "strategy__is_enabled",
        "strategy__strategy",
    )


def _boot_interfaces() -> Any:
    return Interface.objects.filter(is_boot=True).values("machine_id", "cidrv4", "fqdn").order_by()


def _roles() -> dict[int, list[str]]:
    roles: dict[int, list[str]] = defaultdict(list)
    rows = AssignedRole.objects.order_by("assignment_id", "position")
    for machine_id, role in rows.values_list("assignment__machine_id", "role"):
        roles[machine_id].append(role)
    return roles


def _ladders() -> dict[int | None, list[tuple[str, int]]]:
    """The disk ladder of each cluster; under None that of machines without one."""
    ladders: dict[int | None, list[tuple[str, int]]] = {None: _ladder({})}
    for pk, name, values in Cluster.objects.values_list("pk", "name", "values"):
        ladders[pk] = _ladder(values)
        if name == "default":
            ladders[None] = ladders[pk]
    return ladders


def _ladder(values: dict[str, Any]) -> list[tuple[str, int]]:
    return parse_ladder(merge_values(values)["disk_ladder"])
