"""Who is who in the tables, and how they call themselves."""

from __future__ import annotations

from matchbox_sync.tests.fleet import mac_of, report_of, uuid_of

ETCD, PLANE, NODE = "etcd-member", "kubernetes-control-plane", "kubernetes-node"

PLANE_MACHINE, NODE_MACHINE, WAITING, UNKNOWN = 1, 2, 3, 99


def dashed(number: int) -> str:
    """The MAC of a machine as its firmware writes it."""
    return mac_of(number).replace(":", "-")


def query(number: int, *, uuid_of_machine: int | None = None) -> str:
    """What the installed system of a machine says of itself."""
    return f"{firmware_query(number, uuid_of_machine=uuid_of_machine)}&os=installed"


def firmware_query(number: int, *, uuid_of_machine: int | None = None) -> str:
    """What the firmware of a machine says of itself."""
    return f"uuid={uuid_of(uuid_of_machine or number)}&mac={dashed(number)}"


__all__ = [
    "ETCD",
    "NODE",
    "NODE_MACHINE",
    "PLANE",
    "PLANE_MACHINE",
    "UNKNOWN",
    "WAITING",
    "dashed",
    "firmware_query",
    "mac_of",
    "query",
    "report_of",
    "uuid_of",
]
