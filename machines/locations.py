"""Where machines stand: read in bulk, and found out from their facts.

What is stored is read by one query. For a machine that nothing is stored of (it came by another
way than a report) the answer is found out from its facts, so nobody is without one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from machines.models import ChassisPort, ImportedLocation, Interface, Machine, MachineLocation
from machines.topology import UNKNOWN, Location, locate

_NAMES = ("site", "row", "rack", "chassis")
MANY = 5000
"""So many ids are not sent to the database: reading all rows is cheaper."""


def locations_of(machine_ids: Collection[int]) -> dict[int, Location]:
    """The location of each of `machine_ids`; one query, four more when some are not stored."""
    wanted = set(machine_ids)
    if not wanted:
        return {}
    rows = MachineLocation.objects.order_by()
    if len(wanted) <= MANY:
        rows = rows.filter(machine_id__in=wanted)
    found = {
        pk: Location(*names)
        for pk, *names in rows.values_list("machine_id", *_NAMES)
        if pk in wanted
    }
    missing = wanted - found.keys()
    return found | find_locations(missing) if missing else found


def find_locations(machine_ids: Collection[int]) -> dict[int, Location]:
    """Find out where machines stand from imports, labels, switches and names; four queries."""
    wanted = set(machine_ids)
    machines = Machine.objects.order_by()
    interfaces = Interface.objects.order_by("pk")
    ports = ChassisPort.objects.order_by()
    if len(wanted) <= MANY:
        machines = machines.filter(pk__in=wanted)
        interfaces = interfaces.filter(machine_id__in=wanted)
        ports = ports.filter(interface__machine_id__in=wanted)
    switches: dict[int, list[str]] = defaultdict(list)
    columns = ("interface__machine_id", "chassis__name", "chassis__chassis_id")
    for pk, name, chassis_id in ports.values_list(*columns):
        switches[pk].append(name or chassis_id)
    macs: dict[int, list[str]] = defaultdict(list)
    names: dict[int, str] = {}
    for pk, mac, fqdn, is_boot in interfaces.values_list("machine_id", "mac", "fqdn", "is_boot"):
        macs[pk].append(mac)
        if is_boot:
            names[pk] = fqdn or ""
    rows = {
        pk: (labels, keys_of(macs[pk], uuid, serial, names.get(pk, "")))
        for pk, labels, uuid, serial in machines.values_list("pk", "labels", "uuid", "serial")
        if pk in wanted
    }
    imported = _imported({key for _, keys in rows.values() for key in keys})
    return {
        pk: locate(
            chassis_names=switches.get(pk, ()),
            labels=labels,
            fqdn=names.get(pk, ""),
            imported=next((imported[key] for key in keys if key in imported), UNKNOWN),
        )
        for pk, (labels, keys) in rows.items()
    }


def keys_of(macs: Iterable[str], uuid: str, serial: str, fqdn: str) -> list[str]:
    """The keys that a line of an import may name a machine by; the first that is found counts."""
    return [key for key in (*macs, uuid, serial.lower(), fqdn.lower()) if key]


def _imported(keys: Collection[str]) -> Mapping[str, Location]:
    rows: Any = ImportedLocation.objects.order_by()
    if len(keys) <= MANY:
        rows = rows.filter(key__in=keys)
    found = rows.values_list("key", *_NAMES)
    return {key: Location(*names) for key, *names in found if key in keys}
