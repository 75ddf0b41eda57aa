"""Machines for the tests of the sync, made the way real ones are: by their reports."""

from __future__ import annotations

import json

from machines.discovery import parse_report
from machines.models import Machine
from machines.services import mark_installed, record_discovery
from scheduling.services import assign_roles

CONTROL_PLANE = ["etcd-member", "kubernetes-control-plane"]
NODE = ["kubernetes-node"]


def mac_of(number: int) -> str:
    return f"52:54:00:00:{number >> 8:02x}:{number & 255:02x}"


def uuid_of(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012x}"


def report_of(number: int, **changes):
    """A discovery document of machine `number`, like those of real machines."""
    address = changes.get("ipv4", f"10.64.{number >> 8}.{number & 255}")
    mac = mac_of(number)
    return {
        "boot-info": {
            "uuid": changes.get("uuid", uuid_of(number)),
            "mac": mac,
            "random-id": f"7123af1e-c45d-5909-a06d-{number:012x}",
        },
        "interfaces": [
            {
                "name": "lo",
                "mac": "",
                "netmask": 8,
                "ipv4": "127.0.0.1",
                "cidrv4": "127.0.0.1/8",
                "gateway": "10.64.0.254",
            },
            {
                "name": "eth0",
                "mac": mac,
                "netmask": 14,
                "ipv4": address,
                "cidrv4": f"{address}/14",
                "gateway": "10.64.0.254",
                "fqdn": [f"r{number % 4}-srv{number}.dc1.example.test"],
            },
        ],
        "disks": [{"path": "/dev/sda", "size-bytes": 21474836480}],
        "lldp": {"is_file": False, "data": {"interfaces": None}},
    }


def discover(number: int, **changes) -> Machine:
    """The machine after its discovery report."""
    document = json.loads(json.dumps(report_of(number, **changes)))
    return record_discovery(report=parse_report(document)).machine


def place(number: int, roles=NODE) -> Machine:
    """A discovered machine with a role."""
    machine = discover(number)
    assign_roles(machine=machine, roles=roles, actor="test")
    return machine


def install(machine: Machine) -> None:
    from django.utils import timezone

    mark_installed(machine=machine, at=timezone.now())
