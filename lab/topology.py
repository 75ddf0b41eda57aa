"""A lab's plan: machines, racks, network, driver. The file it comes from: `lab.topologyfile`."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Literal

DriverName = Literal["nspawn", "libvirt"]
DiskContent = Literal["empty", "data"]

DEFAULT_NETWORK = IPv4Network("10.77.0.0/24")
_NAMESPACE = uuid.UUID("6f1d6b9e-2f57-4a0f-9a3e-0f5c6f1e3a77")
MACHINES_FROM = 10
"""The first machine's address in the network; the engine's is 1, the switch's 2."""
_ENGINE_AT, _SWITCH_AT = 1, 2


@dataclass(frozen=True, slots=True)
class DiskSpec:
    """A disk of a machine. `content` is what it holds when the machine is new."""

    name: str
    size_gib: int = 12
    is_rotational: bool = False
    content: DiskContent = "empty"


@dataclass(frozen=True, slots=True)
class MachineSpec:
    """A machine as the file describes it."""

    name: str
    memory_mib: int = 1024
    cpus: int = 1
    rack: str = "1"
    disks: tuple[DiskSpec, ...] = (DiskSpec("sda"),)


@dataclass(frozen=True, slots=True)
class LabMachine:
    """A machine with what follows from its place in the topology: the same at each `up`."""

    spec: MachineSpec
    lab: str
    position: int
    """From 1 in the order of the file."""
    network: IPv4Network

    @property
    def name(self) -> str:
        """The machine's name in this lab."""
        return self.spec.name

    @property
    def uuid(self) -> str:
        """SMBIOS UUID, lower-case."""
        return str(uuid.uuid5(_NAMESPACE, f"{self.lab}/{self.name}"))

    @property
    def serial(self) -> str:
        """Serial number of the product."""
        return f"LAB-{self.lab}-{self.name}".upper()

    @property
    def mac(self) -> str:
        """MAC of the boot interface: locally administered, lower-case with colons."""
        tail = hashlib.sha256(f"{self.lab}/{self.name}".encode()).hexdigest()[:6]
        return ":".join(["52", "54", "00", tail[0:2], tail[2:4], tail[4:6]])

    @property
    def address(self) -> IPv4Interface:
        """The lease that DHCP gives to its MAC, with the prefix length."""
        host = self.network[MACHINES_FROM + self.position - 1]
        return IPv4Interface(f"{host}/{self.network.prefixlen}")

    @property
    def fqdn(self) -> str:
        """Name in the site's pattern: rack and position."""
        return f"r{self.spec.rack}-srv{self.position}.{self.lab}.lab.test"

    @property
    def chassis(self) -> str:
        """Name of the switch that its boot interface is plugged into, as LLDP tells it."""
        return f"{self.lab}-rack-{self.spec.rack}"


@dataclass(frozen=True, slots=True)
class Topology:
    """A whole lab."""

    name: str = "lab"
    driver: DriverName = "nspawn"
    control_plane: int = 1
    network: IPv4Network = DEFAULT_NETWORK
    specs: tuple[MachineSpec, ...] = (MachineSpec("m1", rack="1"), MachineSpec("m2", rack="2"))
    values: dict[str, object] = field(default_factory=dict)
    """Cluster values that the lab's engine gets."""
    engine: dict[str, str] = field(default_factory=dict)
    """Settings of the lab's engine, `ENJOLIVER_…`, beside those that the lab itself sets."""

    @property
    def machines(self) -> tuple[LabMachine, ...]:
        """All machines, in the order of the file."""
        return tuple(
            LabMachine(spec, self.name, position, self.network)
            for position, spec in enumerate(self.specs, start=1)
        )

    @property
    def engine_address(self) -> IPv4Address:
        """The engine's address inside the lab's network: the computer's end of the only link."""
        return self.network[_ENGINE_AT]

    @property
    def switch_address(self) -> IPv4Address:
        """The bridge's address, where DHCP listens."""
        return self.network[_SWITCH_AT]
