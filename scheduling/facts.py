"""Present facts of machines as scheduling needs them, in a constant number of queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet, Sum

from machines.models import ChassisPort, Disk, Interface, Machine
from machines.topology import failure_domain


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

    @property
    def has_address(self) -> bool:
        """True when a configuration can be made for its address."""
        return self.ipv4 is not None and self.prefix is not None


def current_facts(machines: QuerySet[Machine]) -> dict[int, CurrentFacts]:
    """The facts of `machines` that have a boot interface, by machine id; four queries."""
    rows = machines.order_by().values_list("pk", "labels")
    ids = machines.order_by().values("pk")
    domains = _chassis_names(ids)
    disks = dict(
        Disk.objects.filter(machine__in=ids)
        .order_by()
        .values_list("machine_id")
        .annotate(total=Sum("size_bytes"))
    )
    interfaces = {
        interface.machine_id: interface
        for interface in Interface.objects.filter(machine__in=ids, is_boot=True).order_by()
    }
    return {
        pk: _facts_of(interfaces[pk], labels, domains.get(pk, ()), disks.get(pk, 0))
        for pk, labels in rows
        if pk in interfaces
    }


def _facts_of(
    interface: Interface, labels: Mapping[str, str], chassis_names: Iterable[str], disk_bytes: int
) -> CurrentFacts:
    fqdn = interface.fqdn or ""
    return CurrentFacts(
        boot_mac=interface.mac,
        interface_name=interface.name,
        ipv4=interface.ipv4,
        prefix=interface.netmask,
        gateway=interface.gateway,
        fqdn=fqdn,
        failure_domain=failure_domain(sorted(chassis_names), labels, fqdn),
        disk_bytes=disk_bytes,
    )


def _chassis_names(ids: QuerySet[Machine, Any]) -> dict[int, set[str]]:
    names: dict[int, set[str]] = defaultdict(set)
    ports = ChassisPort.objects.filter(interface__machine__in=ids).values_list(
        "interface__machine_id", "chassis__name", "chassis__chassis_id"
    )
    for machine_id, name, chassis_id in ports:
        names[machine_id].add(name or chassis_id)
    return names
