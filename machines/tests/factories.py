"""Rows of machines for tests: small, valid, consistent with each other."""

from __future__ import annotations

import copy
import uuid as uuids
from datetime import UTC, datetime, timedelta
from typing import Any

import factory
from factory.django import DjangoModelFactory

from machines.models import (
    BootJournal,
    Chassis,
    ChassisPort,
    Disk,
    Event,
    Interface,
    Machine,
    MachineConflict,
    StateChange,
    UnknownBoot,
)
from machines.states import State

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def mac_of(number: int) -> str:
    """A MAC made from a number."""
    digits = f"525400{number:06x}"
    return ":".join(digits[i : i + 2] for i in range(0, 12, 2))


def uuid_of(number: int) -> str:
    """A UUID made from a number."""
    return str(uuids.uuid5(uuids.NAMESPACE_OID, str(number)))


def address_of(number: int) -> str:
    """An address of 10.64.0.0/14 made from a number."""
    return f"10.{64 + (number >> 16)}.{(number >> 8) & 255}.{number & 255}"


def document(number: int = 1, **changes: Any) -> dict[str, Any]:
    """The discovery document of the machine `number`, as an agent sends it; `changes` by key."""
    name = f"r{number % 4}-srv{number}.dc1.example.test"
    eth0 = {
        "name": "eth0",
        "mac": mac_of(number),
        "netmask": 14,
        "ipv4": address_of(number),
        "cidrv4": f"{address_of(number)}/14",
        "gateway": "10.64.0.1",
        "fqdn": [name],
    }
    loopback = eth0 | {
        "name": "lo",
        "mac": "",
        "netmask": 8,
        "ipv4": "127.0.0.1",
        "cidrv4": "127.0.0.1/8",
    }
    loopback.pop("fqdn")
    link = {
        "name": "eth0",
        "chassis": {"name": f"tor-rack-{number % 4}", "id": f"28:f1:0e:00:00:0{number % 4}"},
        "port": {"id": f"Ethernet1/{number}"},
    }
    whole: dict[str, Any] = {
        "boot-info": {
            "uuid": uuid_of(number),
            "mac": mac_of(number),
            "random-id": uuid_of(-number),
        },
        "interfaces": [loopback, eth0],
        "disks": [{"path": "/dev/sda", "size-bytes": 21474836480}],
        "lldp": {"is_file": True, "data": {"interfaces": [link]}},
        "ignition-journal": ["reading the configuration", "files: op(1): [finished]"],
    }
    return copy.deepcopy(whole | changes)


class MachineFactory(DjangoModelFactory[Machine]):
    """A discovered machine with a boot interface and one disk."""

    class Meta:
        model = Machine
        skip_postgeneration_save = True

    class Params:
        number = factory.Sequence(lambda n: n + 1)
        installed = factory.Trait(
            installed_at=EPOCH + timedelta(hours=1), state=State.INSTALL_SUCCEEDED
        )
        running = factory.Trait(installed_at=EPOCH + timedelta(hours=1), state=State.RUNNING)

    uuid = factory.LazyAttribute(lambda machine: uuid_of(machine.number))
    boot_mac = factory.LazyAttribute(lambda machine: mac_of(machine.number))
    state = State.DISCOVERY
    created_at = factory.LazyAttribute(lambda machine: EPOCH + timedelta(seconds=machine.number))
    updated_at = factory.SelfAttribute("created_at")
    state_at = factory.SelfAttribute("created_at")

    boot_interface = factory.RelatedFactory(
        "machines.tests.factories.InterfaceFactory",
        factory_related_name="machine",
        is_boot=True,
        mac=factory.SelfAttribute("machine.boot_mac"),
        name="eth0",
    )
    disk = factory.RelatedFactory(
        "machines.tests.factories.DiskFactory", factory_related_name="machine"
    )


class InterfaceFactory(DjangoModelFactory[Interface]):
    """An interface with an address; `MachineFactory` makes the boot one."""

    class Meta:
        model = Interface

    class Params:
        number = factory.Sequence(lambda n: n + 1)

    machine = factory.SubFactory(MachineFactory)
    name = factory.LazyAttribute(lambda interface: f"eth{interface.number}")
    mac = factory.LazyAttribute(lambda interface: mac_of(0x800000 + interface.number))
    ipv4 = factory.LazyAttribute(lambda interface: address_of(interface.number))
    cidrv4 = factory.LazyAttribute(
        lambda interface: f"{interface.ipv4}/{interface.netmask}" if interface.ipv4 else ""
    )
    netmask = 14
    gateway = "10.64.0.1"
    fqdn = factory.LazyAttribute(
        lambda interface: f"r{interface.number % 4}-srv{interface.number}.dc1.example.test"
    )


class DiskFactory(DjangoModelFactory[Disk]):
    """A disk of 20 GiB."""

    class Meta:
        model = Disk

    machine = factory.SubFactory(MachineFactory)
    path = factory.Sequence(lambda n: f"/dev/disk{n}")
    size_bytes = 20 * 2**30


class ChassisFactory(DjangoModelFactory[Chassis]):
    """A switch."""

    class Meta:
        model = Chassis

    chassis_id = factory.Sequence(lambda n: mac_of(0x900000 + n))
    name = factory.Sequence(lambda n: f"tor-{n}")


class ChassisPortFactory(DjangoModelFactory[ChassisPort]):
    """A switch port behind an interface."""

    class Meta:
        model = ChassisPort

    interface = factory.SubFactory(InterfaceFactory)
    chassis = factory.SubFactory(ChassisFactory)
    port_id = factory.Sequence(lambda n: f"Ethernet1/{n}")


class BootJournalFactory(DjangoModelFactory[BootJournal]):
    """A journal row whose body is not readable; make real ones by `record_discovery`."""

    class Meta:
        model = BootJournal

    machine = factory.SubFactory(MachineFactory)
    boot_id = factory.Sequence(lambda n: f"boot-{n}")
    created_at = EPOCH
    line_count = 1
    lines_zstd = b""
    digest = ""


class StateChangeFactory(DjangoModelFactory[StateChange]):
    """A move to `discovery`."""

    class Meta:
        model = StateChange

    machine = factory.SubFactory(MachineFactory)
    to_state = State.DISCOVERY
    at = EPOCH


class UnknownBootFactory(DjangoModelFactory[UnknownBoot]):
    """A MAC that nobody has."""

    class Meta:
        model = UnknownBoot

    mac = factory.Sequence(lambda n: mac_of(0xA00000 + n))
    first_at = EPOCH
    last_at = EPOCH


class MachineConflictFactory(DjangoModelFactory[MachineConflict]):
    """An open conflict."""

    class Meta:
        model = MachineConflict

    machine = factory.SubFactory(MachineFactory)
    kind = "shared_mac"
    subject = factory.Sequence(lambda n: mac_of(0xB00000 + n))
    detail = "also at another machine"
    opened_at = EPOCH
    seen_at = EPOCH


class EventFactory(DjangoModelFactory[Event]):
    """A line of the timeline."""

    class Meta:
        model = Event

    kind = "discovered"
    message = "A new machine."
    at = EPOCH
