"""Present facts of machines as scheduling needs them, in a constant number of queries."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Any

from django.db.models import Max, QuerySet, Sum

from machines.locations import MANY, locations_of
from machines.models import Disk, Interface, Machine
from machines.topology import UNKNOWN, Location
from scheduling.requirements import Hardware


@dataclass(frozen=True, slots=True)
class CurrentFacts:
    """What a machine reports now, under the names of the pinned facts of an assignment."""

    boot_mac: str
    interface_name: str
    ipv4: str | None
    prefix: int | None
    gateway: str | None
    fqdn: str
    failure_domain: str
    disk_bytes: int
    location: Location = UNKNOWN

    def pinned(self) -> dict[str, Any]:
        """The facts that are pinned, by the names of an assignment's columns."""
        names = [one.name for one in fields(self) if one.name != "location"]
        return {name: getattr(self, name) for name in names}

    @property
    def has_address(self) -> bool:
        """True when a configuration can be made for its address."""
        return self.ipv4 is not None and self.prefix is not None


def current_facts(machines: QuerySet[Machine]) -> dict[int, CurrentFacts]:
    """The facts of `machines` that have a boot interface, by machine id; four queries."""
    known = list(machines.order_by().values_list("pk", flat=True))
    ids = machines.order_by().values("pk")
    places = locations_of(known)
    disks = dict(
        Disk.objects.filter(machine__in=ids)
        .order_by()
        .values_list("machine_id")
        .annotate(total=Sum("size_bytes"))
    )
    columns = ("machine_id", "mac", "name", "ipv4", "netmask", "gateway", "fqdn")
    interfaces = Interface.objects.filter(machine__in=ids, is_boot=True).order_by()
    facts = {}
    for pk, mac, name, ipv4, prefix, gateway, fqdn in interfaces.values_list(*columns):
        if pk in places:  # else it appeared between two queries
            place = places[pk]
            domain, size = place.failure_domain, disks.get(pk, 0)
            facts[pk] = CurrentFacts(
                mac, name, ipv4, prefix, gateway, fqdn or "", domain, size, place
            )
    return facts


def hardware_of(machine_ids: Collection[int]) -> dict[int, Hardware]:
    """What roles may ask for, by machine id; two queries whatever the number."""
    wanted = set(machine_ids)
    disks, machines = Disk.objects.order_by(), Machine.objects.order_by()
    if len(wanted) <= MANY:
        disks, machines = disks.filter(machine__in=wanted), machines.filter(pk__in=wanted)
    largest = dict(disks.values_list("machine_id").annotate(largest=Max("size_bytes")))
    rows = machines.values_list("pk", "labels", "memory_bytes", "cpu_count")
    return {
        pk: Hardware(labels, largest.get(pk), memory, processors)
        for pk, labels, memory, processors in rows
        if pk in wanted
    }
