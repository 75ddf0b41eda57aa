"""Lists of facts as the API shows them; a constant number of queries whatever the fleet's size."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from django.db.models import QuerySet

from enjoliver.common.addresses import normalise_uuid
from enjoliver.common.errors import NotFound, UnknownMachine
from enjoliver.common.times import rfc3339
from machines.models import BootJournal, Disk, Interface, Machine
from machines.services.journals import journal_lines

_INTERFACE_COLUMNS = (
    "mac",
    "name",
    "ipv4",
    "cidrv4",
    "netmask",
    "gateway",
    "fqdn",
    "is_boot",
)
CHUNK = 2000


def discovery_rows() -> list[dict[str, Any]]:
    """All machines with interfaces and disks, in the order of their first report; 3 queries."""
    interfaces: dict[int, list[dict[str, Any]]] = defaultdict(list)
    rows = Interface.objects.order_by("pk").values_list("machine_id", *_INTERFACE_COLUMNS)
    for machine_id, *values in rows.iterator(CHUNK):
        interfaces[machine_id].append(_interface(values))
    disks: dict[int, list[dict[str, Any]]] = defaultdict(list)
    sizes = Disk.objects.order_by("pk").values_list("machine_id", "path", "size_bytes")
    for machine_id, path, size in sizes.iterator(CHUNK):
        disks[machine_id].append({"path": path, "size-bytes": size})
    machines = Machine.objects.order_by("created_at", "pk").values_list(
        "pk", "uuid", "boot_mac", "created_at", "updated_at"
    )
    return [
        {
            "boot-info": {
                "uuid": uuid,
                "mac": mac,
                "created-date": rfc3339(created_at),
                "updated-date": rfc3339(updated_at),
            },
            "interfaces": interfaces[pk],
            "disks": disks[pk],
        }
        for pk, uuid, mac, created_at, updated_at in machines.iterator(CHUNK)
    ]


def interface_rows() -> list[dict[str, Any]]:
    """All interfaces with the UUID of their machine, machine by machine; 1 query."""
    rows = Interface.objects.order_by("machine__created_at", "machine_id", "pk")
    found = rows.values_list("machine__uuid", *_INTERFACE_COLUMNS).iterator(CHUNK)
    return [{**_interface(values), "uuid": uuid} for uuid, *values in found]


def _interface(values: list[Any]) -> dict[str, Any]:
    row = dict(zip(_INTERFACE_COLUMNS, values, strict=True))
    row["as_boot"] = row.pop("is_boot")
    row["cidrv4"] = row["cidrv4"] or None
    return row


def journal_rows(uuid: str | None = None) -> list[dict[str, Any]]:
    """The boots known, oldest first; with `uuid` those of the machines that have it.

    Raises UnknownMachine when no machine has it.
    """
    journals = BootJournal.objects.order_by("created_at", "pk")
    if uuid is not None:
        journals = journals.filter(machine__in=_machines(uuid))
    found = journals.values_list("machine__uuid", "boot_id", "created_at", "line_count")
    return [
        {"uuid": uuid, "boot_id": boot_id, "created_date": rfc3339(at), "lines": count}
        for uuid, boot_id, at, count in found.iterator(CHUNK)
    ]


def journal(uuid: str, boot_id: str) -> dict[str, Any]:
    """One boot with its lines; the newest when two machines share UUID and boot id.

    Raises UnknownMachine, or NotFound when that machine has no such boot.
    """
    boots = BootJournal.objects.filter(machine__in=_machines(uuid), boot_id=boot_id)
    row = boots.select_related("machine").order_by("-created_at", "-pk").first()
    if row is None:
        raise NotFound(f"no journal of the boot {boot_id[:64]} is kept", kind="unknown_boot")
    return {
        "uuid": row.machine.uuid,
        "boot_id": row.boot_id,
        "created_date": rfc3339(row.created_at),
        "lines": journal_lines(row),
    }


def _machines(uuid: str) -> QuerySet[Machine]:
    unknown = UnknownMachine(f"no machine has the UUID {uuid[:64]}")
    try:
        machines = Machine.objects.filter(uuid=normalise_uuid(uuid))
    except ValueError:
        raise unknown from None
    if not machines.exists():
        raise unknown
    return machines
