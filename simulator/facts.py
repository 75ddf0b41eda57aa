"""Who the simulated machines are: identities, racks and the discovery report they send.

Everything is derived from seed and index, so that a second run meets the same machines again.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

_NAMESPACE = uuid.UUID("6f0f6a1a-7c0e-5d2b-9f43-0d5d8a3f2c11")
NETWORK_PREFIX = 14
GATEWAY = "10.64.0.1"
MACHINES_PER_RACK = 20
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Identity:
    """What firmware and cabling say about one machine."""

    index: int
    uuid: str
    mac: str
    second_mac: str
    serial: str
    ipv4: str
    fqdn: str
    rack: int
    position: int

    @property
    def hostname(self) -> str:
        """The short name."""
        return self.fqdn.partition(".")[0]

    @property
    def domain(self) -> str:
        """The name without its first part."""
        return self.fqdn.partition(".")[2]

    @property
    def raw_query(self) -> str:
        """How the installed system names itself to the engine."""
        return f"uuid={self.uuid}&mac={self.mac.replace(':', '-')}&os=installed"

    @property
    def ipxe_settings(self) -> dict[str, str]:
        """The machine's settings as iPXE knows them (https://ipxe.org/cfg)."""
        return {
            "uuid": self.uuid,
            "mac": self.mac,
            "ip": self.ipv4,
            "serial": self.serial,
            "hostname": self.hostname,
            "domain": self.domain,
            "platform": "pcbios",
            "buildarch": "x86_64",
            "manufacturer": "Enjoliver",
            "product": "Simulated",
        }


def make_fleet(machines: int, seed: int) -> list[Identity]:
    """Identities of a whole fleet, spread over at least three racks."""
    racks = max(3, -(-machines // MACHINES_PER_RACK))
    return [make_identity(index, seed, racks) for index in range(machines)]


def make_identity(index: int, seed: int, racks: int) -> Identity:
    """One machine. Fleets of different seeds share no UUID, MAC, name or address (16 seeds)."""
    rack, position = index % racks, index // racks + 1
    number = index * 2
    prefix = f"52:54:{seed % 256:02x}"
    return Identity(
        index=index,
        uuid=str(uuid.uuid5(_NAMESPACE, f"{seed}/{index}")),
        mac=f"{prefix}:{_hex_pairs(number)}",
        second_mac=f"{prefix}:{_hex_pairs(number + 1)}",
        serial=f"SIM{seed:03d}{index:06d}",
        ipv4=_address(seed, index),
        fqdn=f"r{rack}-srv{position}.dc{seed}.example.test",
        rack=rack,
        position=position,
    )


def _hex_pairs(number: int) -> str:
    return ":".join(f"{number >> shift & 255:02x}" for shift in (16, 8, 0))


def _address(seed: int, index: int) -> str:
    number = (10 << 24) + (64 << 16) + ((seed - 1) % 16 << 14) + 10 + index
    return ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))


def share_uuid(fleet: Sequence[Identity], indexes: Sequence[int]) -> list[Identity]:
    """The fleet with one UUID for all machines in `indexes`, as vendors ship it at times."""
    if not indexes:
        return list(fleet)
    shared = fleet[indexes[0]].uuid
    return [replace(one, uuid=shared) if one.index in set(indexes) else one for one in fleet]


def discovery_report(who: Identity, *, boot_id: str, journal: Sequence[str]) -> dict[str, Any]:
    """The document that the discovery system posts, keys as old clients send them and more."""
    return {
        "boot-info": {"uuid": who.uuid, "mac": who.mac, "random-id": boot_id},
        "interfaces": _interfaces(who),
        "disks": _disks(who),
        "lldp": _lldp(who),
        "hardware": {
            "product": "Simulated",
            "serial": who.serial,
            "cpu-count": 16 if who.index % 2 else 32,
            "memory-bytes": 64 * GIB,
        },
        "ignition-journal": list(journal),
    }


def _interfaces(who: Identity) -> list[dict[str, Any]]:
    """Loopback, the boot interface, and a second one that repeats the address (an old quirk)."""
    loopback = {"name": "lo", "mac": "", "netmask": 8, "ipv4": "127.0.0.1"}
    wired = {
        "netmask": NETWORK_PREFIX,
        "ipv4": who.ipv4,
        "cidrv4": f"{who.ipv4}/{NETWORK_PREFIX}",
        "gateway": GATEWAY,
    }
    return [
        {**loopback, "cidrv4": "127.0.0.1/8", "gateway": GATEWAY, "fqdn": None},
        {"name": "eth0", "mac": who.mac, "fqdn": [who.fqdn], **wired},
        {"name": "eth1", "mac": who.second_mac, "fqdn": None, **wired},
    ]


def _disks(who: Identity) -> list[dict[str, Any]]:
    system = {"path": "/dev/sda", "size-bytes": 240 * GIB, "model": "SIM-SSD", "rotational": False}
    data = {"path": "/dev/sdb", "size-bytes": 2048 * GIB, "model": "SIM-HDD", "rotational": True}
    return [
        {**system, "serial": f"{who.serial}-A"},
        {**data, "serial": f"{who.serial}-B"},
    ]


def _lldp(who: Identity) -> dict[str, Any]:
    """The switch at the top of the rack, one port per interface."""
    chassis = {"name": f"tor-rack-{who.rack}", "id": f"28:f1:0e:00:{_rack_octets(who.rack)}"}
    names = ("eth0", "eth1")
    return {
        "is_file": True,
        "data": {
            "interfaces": [
                {
                    "name": name,
                    "chassis": chassis,
                    "port": {"id": f"Ethernet{at + 1}/{who.position}"},
                }
                for at, name in enumerate(names)
            ]
        },
    }


def _rack_octets(rack: int) -> str:
    return f"{rack >> 8 & 255:02x}:{rack & 255:02x}"


def boot_journal(who: Identity, config_url: str, boot_id: str) -> list[str]:
    """What Ignition logged in this boot, about twenty lines."""
    operations = [
        "createFilesystemsFiles: op(1): [started]  mounting tmpfs at /sysroot",
        "createFilesystemsFiles: op(1): [finished] mounting tmpfs at /sysroot",
        *(
            f'files: createFiles: op({number}): [finished] writing file "{path}"'
            for number, path in enumerate(_WRITTEN, start=2)
        ),
        'files: op(9): [finished] enabling unit "enjoliver-agent.service"',
        "files: files passed",
        "Ignition finished successfully",
    ]
    return [
        "Ignition 2.26.0",
        f"boot {boot_id}",
        f'reading system config file "/usr/lib/ignition/base.d/{who.hostname}"',
        f'parsed url from cmdline: "{config_url}"',
        f"GET {config_url}: attempt #1",
        f"GET error: Get {config_url}: connect: network is unreachable",
        f"GET {config_url}: attempt #2",
        "GET result: OK",
        'fetched base config from "system"',
        'fetched user config from "cmdline"',
        "disks: disks passed",
        *operations,
    ]


_WRITTEN = (
    "/etc/hostname",
    "/etc/hosts",
    "/etc/enjoliver/discovery",
    "/etc/metadata-endpoints.env",
)
