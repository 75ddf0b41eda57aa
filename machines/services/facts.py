"""The rows of one machine made equal to its report: only what differs is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

from django.db import models

from machines.models import Chassis, ChassisPort, Disk, Interface, Machine
from machines.report import DiscoveryReport, LldpFacts
from machines.services.locations import derive_locations

Row = TypeVar("Row", bound=models.Model)


def apply_facts(
    machine: Machine, report: DiscoveryReport, interfaces: Sequence[Interface], *, is_new: bool
) -> bool:
    """Insert, update and delete the rows that differ from `report`; True when any did.

    `interfaces` are the stored rows with their ports (none for a new machine).
    """
    disks = [] if is_new else list(Disk.objects.filter(machine=machine))
    _unmark_boot(interfaces, report)
    rows, is_changed = _sync_rows(
        interfaces,
        {one.name: asdict(one) for one in report.interfaces},
        key=lambda row: row.name,
        make=lambda values: Interface(machine=machine, **values),
    )
    _, has_other_disks = _sync_rows(
        disks,
        {disk.path: asdict(disk) for disk in report.disks},
        key=lambda row: row.path,
        make=lambda values: Disk(machine=machine, **values),
    )
    has_other_ports = _sync_ports(rows, report.lldp, is_new=is_new)
    return is_changed or has_other_disks or has_other_ports


def _unmark_boot(interfaces: Sequence[Interface], report: DiscoveryReport) -> None:
    """Take the mark off first: at no moment may two interfaces carry it (a constraint)."""
    boot = {one.name for one in report.interfaces if one.is_boot}
    former = [row for row in interfaces if row.is_boot and row.name not in boot]
    if former:
        Interface.objects.filter(pk__in=[row.pk for row in former]).update(is_boot=False)
        for row in former:
            row.is_boot = False


def _sync_rows(
    rows: Sequence[Row],
    wanted: Mapping[str, Mapping[str, Any]],
    *,
    key: Callable[[Row], str],
    make: Callable[[Mapping[str, Any]], Row],
) -> tuple[dict[str, Row], bool]:
    """Make stored `rows` equal to `wanted` (values by key); returns all rows by key, and whether
    anything was written."""
    kept = {key(row): row for row in rows if key(row) in wanted}
    gone = [row for row in rows if key(row) not in wanted]
    other = [row for name, row in kept.items() if _take(row, wanted[name])]
    new = {name: make(values) for name, values in wanted.items() if name not in kept}
    for row in gone:
        row.delete()
    if other:
        fields = sorted(next(iter(wanted.values())))
        type(other[0])._default_manager.bulk_update(other, fields)
    if new:
        type(next(iter(new.values())))._default_manager.bulk_create(new.values())
    return kept | new, bool(gone or other or new)


def _take(row: models.Model, values: Mapping[str, Any]) -> bool:
    differs = [name for name, value in values.items() if getattr(row, name) != value]
    for name in differs:
        setattr(row, name, values[name])
    return bool(differs)


def _sync_ports(rows: Mapping[str, Interface], lldp: Iterable[LldpFacts], *, is_new: bool) -> bool:
    links = {link.interface: link for link in lldp if link.interface in rows}
    chassis = _ensure_chassis(links.values())
    stored = {} if is_new else _stored_ports(rows)
    wanted = {
        name: {
            "interface_id": rows[name].pk,
            "chassis_id": chassis[link.chassis_id].pk,
            "port_id": link.port_id,
        }
        for name, link in links.items()
    }
    _, is_changed = _sync_rows(
        list(stored.values()),
        wanted,
        key=lambda port: next(name for name, its in stored.items() if its is port),
        make=lambda values: ChassisPort(**values),
    )
    return is_changed


def _stored_ports(rows: Mapping[str, Interface]) -> dict[str, ChassisPort]:
    names = {row.pk: name for name, row in rows.items()}
    ports = ChassisPort.objects.filter(interface_id__in=names)
    return {names[port.interface_id]: port for port in ports}


def _ensure_chassis(links: Iterable[LldpFacts]) -> dict[str, Chassis]:
    """The chassis that the links name, by id; always in one order, so that no two machines of a
    rack wait for each other's rows."""
    names = {link.chassis_id: link.chassis_name for link in links}
    if not names:
        return {}
    found = _chassis(names)
    missing = [
        Chassis(chassis_id=key, name=name)
        for key, name in sorted(names.items())
        if key not in found
    ]
    if missing:
        Chassis.objects.bulk_create(missing, ignore_conflicts=True)
        found = _chassis(names)
    for key, chassis in sorted(found.items()):
        if names[key] and names[key] != chassis.name:
            chassis.name = names[key]
            chassis.save(update_fields=["name"])
            _follow_name(chassis)
    return found


def _follow_name(chassis: Chassis) -> None:
    """A switch was named anew: so are the locations of the machines plugged into it."""
    ports = ChassisPort.objects.filter(chassis=chassis)
    derive_locations(set(ports.values_list("interface__machine_id", flat=True)))


def _chassis(ids: Iterable[str]) -> dict[str, Chassis]:
    return {one.chassis_id: one for one in Chassis.objects.filter(chassis_id__in=list(ids))}
