"""Present facts of machines as scheduling needs them, in a constant number of queries."""

from __future__ import annotations

from collections import defaultdict
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
    columns = ("machine_id", "mac", "name", "ipv4", "netmask", "gateway", "fqdn")
    interfaces = Interface.objects.filter(machine__in=ids, is_boot=True).order_by()
    labels = dict(rows)
    facts = {}
    for pk, mac, name, ipv4, prefix, gateway, fqdn in interfaces.values_list(*columns):
        if pk in labels:  # else it appeared between the two queries
            domain = failure_domain(sorted(domains.get(pk, ())), labels[pk], fqdn or "")
            facts[pk] = CurrentFacts(
                mac, name, ipv4, prefix, gateway, fqdn or "", domain, disks.get(pk, 0)
            )
    return facts


def _chassis_names(ids: QuerySet[Machine, Any]) -> dict[int, set[str]]:
    names: dict[int, set[str]] = defaultdict(set)
    ports = ChassisPort.objects.filter(interface__machine__in=ids).values_list(
        "interface__machine_id", "chassis__name", "chassis__chassis_id"
    )
    for machine_id, name, chassis_id in ports:
        names[machine_id].add(name or chassis_id)
    return names
