"""Where machines stand: kept right when facts, labels or imports change."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone

from machines.locations import find_locations
from machines.models import ImportedLocation, Interface, Machine, MachineLocation
from machines.services.history import record_event
from machines.signals import announce
from machines.topology import Location, normalise_key

BATCH = 500
_NAMES = ["site", "row", "rack", "chassis"]


@dataclass(frozen=True, slots=True)
class ImportedCount:
    """What an import did: lines new, changed, removed, and machines whose location moved."""

    added: int = 0
    changed: int = 0
    removed: int = 0
    moved: int = 0
    unknown: tuple[str, ...] = ()


def derive_locations(machine_ids: Collection[int]) -> set[int]:
    """Store where `machine_ids` stand now; returns those that moved. Call it in a transaction.

    A handful of queries for each 500 machines, and none that writes when nothing changed.
    """
    moved: set[int] = set()
    for batch in _batches(sorted(set(machine_ids))):
        present = find_locations(batch)
        stored = MachineLocation.objects.in_bulk(batch)
        differs = {
            pk: place
            for pk, place in present.items()
            if pk not in stored or stored[pk].location != place
        }
        if differs:
            MachineLocation.objects.bulk_create(
                [MachineLocation(machine_id=pk, **asdict(place)) for pk, place in differs.items()],
                update_conflicts=True,
                unique_fields=["machine"],
                update_fields=_NAMES,
            )
        moved |= differs.keys()
    return moved


def import_locations(
    *, places: Mapping[str, Location], actor: str, is_whole: bool = False
) -> ImportedCount:
    """Take a list of where machines stand, by key (a MAC, UUID, serial number or name).

    A line may come before its machine. With `is_whole` the list is all there is: lines of former
    imports that it does not have go. Pinned facts and configs do not change; placement follows.
    """
    wanted = {normalise_key(key): place for key, place in places.items()}
    with transaction.atomic():
        stored = {row.key: row for row in ImportedLocation.objects.all()}
        new = {key: place for key, place in wanted.items() if key not in stored}
        other = {
            key: place
            for key, place in wanted.items()
            if key in stored and stored[key].location != place
        }
        gone = sorted(stored.keys() - wanted.keys()) if is_whole else []
        _write(new | other, actor)
        for batch in _batches(gone):
            ImportedLocation.objects.filter(key__in=batch).delete()
        moved = derive_locations(machines_of_keys({*new, *other, *gone}))
        if new or other or gone:
            message = f"Locations: {len(new)} new, {len(other)} changed, {len(gone)} removed."
            record_event(kind="locations_imported", message=message, actor=actor)
        announce(moved)
    known = _known_keys(wanted)
    unknown = tuple(sorted(wanted.keys() - known))
    return ImportedCount(len(new), len(other), len(gone), len(moved), unknown)


def forget_locations(*, keys: Collection[str], actor: str) -> int:
    """Take lines of imports back; the machines stand where their facts say. Returns how many."""
    with transaction.atomic():
        concerned = machines_of_keys(keys)
        deleted = sum(
            ImportedLocation.objects.filter(key__in=batch).delete()[0]
            for batch in _batches(sorted(keys))
        )
        moved = derive_locations(concerned)
        if deleted:
            message = f"Locations: {deleted} removed."
            record_event(kind="locations_imported", message=message, actor=actor)
        announce(moved)
    return deleted


def machines_of_keys(keys: Collection[str]) -> set[int]:
    """The machines that any of `keys` names."""
    return {pk for pk, _ in _matches(keys)}


def _known_keys(keys: Collection[str]) -> set[str]:
    return {key for _, key in _matches(keys)}


def _matches(keys: Collection[str]) -> Iterator[tuple[int, str]]:
    for batch in _batches(sorted(keys)):
        yield from Interface.objects.filter(mac__in=_macs(batch)).values_list("machine_id", "mac")
        named = Interface.objects.filter(is_boot=True, fqdn__in=batch)
        yield from ((pk, name or "") for pk, name in named.values_list("machine_id", "fqdn"))
        yield from Machine.objects.filter(uuid__in=batch).values_list("pk", "uuid")
        # Serial numbers are kept as reported; a list may spell them in any case.
        spelled = [*batch, *(key.upper() for key in batch)]
        serials = Machine.objects.filter(serial__in=spelled).values_list("pk", "serial")
        yield from ((pk, serial.lower()) for pk, serial in serials)


def _macs(keys: Sequence[str]) -> list[str]:
    return [key for key in keys if len(key) == 17 and key.count(":") == 5]


def _write(places: Mapping[str, Location], actor: str) -> None:
    now = timezone.now()
    rows = [
        ImportedLocation(key=key, imported_at=now, imported_by=actor[:150], **asdict(place))
        for key, place in places.items()
    ]
    for batch in _batches(rows):
        ImportedLocation.objects.bulk_create(
            batch,
            update_conflicts=True,
            unique_fields=["key"],
            update_fields=[*_NAMES, "imported_at", "imported_by"],
        )


def _batches(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))
