"""The discovery document: all facts of the machine, as `POST /discovery` takes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agent import VERSION
from agent.facts import boot, disks, hardware, interfaces, journal, lldp, names
from agent.facts.sources import Sources


class NoIdentity(Exception):
    """The machine cannot say who it is; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the machine is."""

    uuid: str
    mac: str
    boot_id: str


def read_identity(sources: Sources) -> Identity:
    """UUID, boot MAC and boot id; raises NoIdentity."""
    uuid = boot.read_uuid(sources)
    if not uuid:
        raise NoIdentity("firmware tells no UUID, and the kernel's arguments do not either")
    listed, routes = interfaces.read(sources), interfaces.read_routes(sources)
    mac = boot.boot_mac(boot.read_told_mac(sources), listed, routes)
    if not mac:
        raise NoIdentity("there is no network interface with a MAC")
    return Identity(uuid, mac, boot.read_boot_id(sources))


def collect(sources: Sources) -> dict[str, Any]:
    """Ask every source; raises NoIdentity. Whatever else a source cannot tell is left out."""
    who = read_identity(sources)
    listed, routes = interfaces.read(sources), interfaces.read_routes(sources)
    gateway = routes[0][0] if routes else ""
    known = {one.name for one in listed}
    neighbours = [one for one in lldp.read(sources) if one.interface in known]
    return {
        "boot-info": {"uuid": who.uuid, "mac": who.mac, "random-id": who.boot_id},
        "interfaces": [_interface(sources, one, gateway) for one in listed],
        "disks": [_disk(disk) for disk in disks.read(sources)],
        "lldp": {"is_file": bool(neighbours), "data": {"interfaces": _links(neighbours)}},
        "hardware": _hardware(hardware.read(sources)),
        "ignition-journal": journal.read(sources),
        "agent": {"version": VERSION},
    }


def _interface(sources: Sources, one: interfaces.Interface, gateway: str) -> dict[str, Any]:
    has_names = bool(one.ipv4 and one.mac)
    return {
        "name": one.name,
        "mac": one.mac,
        "ipv4": one.ipv4,
        "cidrv4": one.cidr,
        "netmask": one.prefix,
        "gateway": gateway,
        "fqdn": names.read(sources, one.ipv4) if has_names else None,
    }


def _disk(disk: disks.Disk) -> dict[str, Any]:
    return {
        "path": disk.path,
        "size-bytes": disk.size_bytes,
        "model": disk.model,
        "serial": disk.serial,
        "rotational": disk.is_rotational,
    }


def _links(neighbours: list[lldp.Neighbour]) -> list[dict[str, Any]]:
    return [
        {
            "name": one.interface,
            "chassis": {"name": one.chassis_name, "id": one.chassis_id},
            "port": {"id": one.port_id},
        }
        for one in neighbours
    ]


def _hardware(facts: hardware.Hardware) -> dict[str, Any]:
    return {
        "product": facts.product,
        "serial": facts.serial,
        "cpu-count": facts.cpu_count or None,
        "memory-bytes": facts.memory_bytes or None,
    }
