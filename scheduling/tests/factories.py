"""Rows of intent for tests, and machines with the facts that scheduling looks at."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import factory
from factory.django import DjangoModelFactory

from machines.models import Chassis, Disk, Interface, Machine
from machines.tests.factories import (
    EPOCH,
    ChassisPortFactory,
    MachineFactory,
    address_of,
    mac_of,
    uuid_of,
)
from scheduling.models import AssignedRole, Assignment, Cluster, Waiting
from scheduling.roles import CONTROL_PLANE_ROLES, RoleName, profile_of

LATER = EPOCH + timedelta(days=1)
"""A time at which every machine made here has settled."""


class ClusterFactory(DjangoModelFactory[Cluster]):
    """A further cluster; the default one comes from the migration."""

    class Meta:
        model = Cluster

    name = factory.Sequence(lambda n: f"cluster-{n}")


class AssignmentFactory(DjangoModelFactory[Assignment]):
    """A node of the default cluster with the machine's facts pinned; `held` are its roles."""

    class Meta:
        model = Assignment
        skip_postgeneration_save = True

    class Params:
        held: Sequence[RoleName] = (RoleName.NODE,)

    machine = factory.SubFactory(MachineFactory)
    cluster = factory.LazyFunction(lambda: Cluster.objects.get(name="default"))
    profile = factory.LazyAttribute(lambda assignment: profile_of(assignment.held))
    pod_index = factory.Sequence(lambda n: n + 5000)
    boot_mac = factory.SelfAttribute("machine.boot_mac")
    interface_name = "eth0"
    ipv4 = factory.LazyAttribute(lambda a: a.machine.interfaces.get(is_boot=True).ipv4)
    prefix = 14
    gateway = "10.64.0.1"
    fqdn = factory.LazyAttribute(lambda a: a.machine.interfaces.get(is_boot=True).fqdn or "")
    assigned_at = EPOCH

    @factory.post_generation  # type: ignore[untyped-decorator]
    def roles(self: Assignment, create: bool, extracted: Any, **kwargs: Any) -> None:
        """The role rows that lead to the profile, or those given as `roles`."""
        default = CONTROL_PLANE_ROLES if self.profile.startswith("etcd") else (RoleName.NODE,)
        for position, role in enumerate(extracted if extracted is not None else default):
            AssignedRole.objects.create(assignment=self, role=role, position=position)


class WaitingFactory(DjangoModelFactory[Waiting]):
    """A machine that waits for the control plane."""

    class Meta:
        model = Waiting

    machine = factory.SubFactory(MachineFactory)
    code = "control_plane"
    reason = "control plane needs 3 machines, 1 available"
    since = EPOCH
    eligible_at = EPOCH


def make_machine(
    number: int,
    *,
    fqdn: str | None = None,
    chassis: str = "",
    created_at: datetime = EPOCH,
    **changes: Any,
) -> Machine:
    """The discovered machine `number`: its MAC and its address rise with the number."""
    boot = {"number": number, "fqdn": fqdn} | {
        name.removeprefix("boot_interface__"): changes.pop(name)
        for name in list(changes)
        if name.startswith("boot_interface__")
    }
    machine: Machine = MachineFactory.create(
        number=number,
        created_at=created_at,
        **{f"boot_interface__{name}": value for name, value in boot.items()},
        **changes,
    )
    if chassis:
        switch, _ = Chassis.objects.get_or_create(chassis_id=chassis, defaults={"name": chassis})
        ChassisPortFactory.create(interface=machine.interfaces.get(is_boot=True), chassis=switch)
    return machine


def make_fleet(count: int, *, created_at: datetime = EPOCH) -> None:
    """`count` discovered machines in a few inserts, spread over 40 racks by name."""
    machines = Machine.objects.bulk_create(
        Machine(
            uuid=uuid_of(number),
            boot_mac=mac_of(number),
            state_at=created_at,
            created_at=created_at,
            updated_at=created_at,
        )
        for number in range(1, count + 1)
    )
    Interface.objects.bulk_create(
        Interface(
            machine=machine,
            name="eth0",
            mac=machine.boot_mac,
            ipv4=address_of(number),
            cidrv4=f"{address_of(number)}/14",
            netmask=14,
            gateway="10.64.0.1",
            fqdn=f"r{number % 40}-srv{number}.dc1.example.test",
            is_boot=True,
        )
        for number, machine in enumerate(machines, start=1)
    )
    Disk.objects.bulk_create(
        Disk(machine=machine, path="/dev/sda", size_bytes=2**34) for machine in machines
    )
