"""What a machine reported, as facts, and back as the document it came from. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from machines.interfaces import InterfaceFacts


@dataclass(frozen=True, slots=True)
class DiskFacts:
    """A block device; `size_bytes` as the kernel tells it."""

    path: str
    size_bytes: int
    model: str = ""
    serial: str = ""
    is_rotational: bool | None = None


@dataclass(frozen=True, slots=True)
class LldpFacts:
    """What the switch port behind `interface` (a name) said about itself."""

    interface: str
    chassis_id: str
    chassis_name: str
    port_id: str


@dataclass(frozen=True, slots=True)
class HardwareFacts:
    """What the firmware tells about the machine; "" and None when it does not."""

    serial: str = ""
    product: str = ""
    cpu_count: int | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class DiscoveryReport:
    """One valid document. `facts` is the document as sent, without journal, fit to be stored;
    `digest` names its content apart from the boot id, so that two boots with the same facts
    have the same one."""

    uuid: str
    boot_mac: str
    boot_id: str
    interfaces: tuple[InterfaceFacts, ...]
    disks: tuple[DiskFacts, ...] = ()
    lldp: tuple[LldpFacts, ...] = ()
    hardware: HardwareFacts = HardwareFacts()
    journal: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    digest: str = ""

    @property
    def macs(self) -> tuple[str, ...]:
        """All MACs, each once, the boot interface's first."""
        return tuple(dict.fromkeys([self.boot_mac, *(one.mac for one in self.interfaces)]))

    @property
    def boot_address(self) -> str | None:
        """The IPv4 address of the boot interface."""
        return next((one.ipv4 for one in self.interfaces if one.is_boot), None)


def as_document(report: DiscoveryReport) -> dict[str, Any]:
    """The known facts in the document's own form, without journal; reads back to the same."""
    return {
        "boot-info": {"uuid": report.uuid, "mac": report.boot_mac, "random-id": report.boot_id},
        "interfaces": [
            {
                "name": one.name,
                "mac": one.mac,
                "ipv4": one.ipv4,
                "cidrv4": one.cidrv4,
                "netmask": one.netmask,
                "gateway": one.gateway,
                "fqdn": [one.fqdn] if one.fqdn else None,
            }
            for one in report.interfaces
        ],
        "disks": [
            {
                "path": disk.path,
                "size-bytes": disk.size_bytes,
                "model": disk.model,
                "serial": disk.serial,
                "rotational": disk.is_rotational,
            }
            for disk in report.disks
        ],
        "lldp": {
            "is_file": bool(report.lldp),
            "data": {"interfaces": [_as_neighbour(link) for link in report.lldp] or None},
        },
        "hardware": {
            "serial": report.hardware.serial,
            "product": report.hardware.product,
            "cpu-count": report.hardware.cpu_count,
            "memory-bytes": report.hardware.memory_bytes,
        },
    }


def _as_neighbour(link: LldpFacts) -> dict[str, Any]:
    return {
        "name": link.interface,
        "chassis": {"id": link.chassis_id, "name": link.chassis_name},
        "port": {"id": link.port_id},
    }
