"""Faults on demand: what goes wrong, with how many machines, and how such a machine should end."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from enum import StrEnum


class Fault(StrEnum):
    """One way in which a machine misbehaves."""

    SLOW = "slow"
    """Every request takes long and its body arrives in pieces."""
    SILENT = "silent"
    """It vanishes after its first report of the installed system."""
    SILENT_INSTALL = "silent-install"
    """It vanishes while it holds the install gate."""
    SILENT_UPDATE = "silent-update"
    """It vanishes while it holds the slot."""
    FLAPS = "flaps"
    """It loses power now and then while it runs, and comes back."""
    LIES = "lies"
    """It reports another config than the one it was given."""
    FAIL_INSTALL = "fail-install"
    """Its first install attempt fails."""
    REBOOT_MID_INSTALL = "reboot-mid-install"
    """It loses power once in the middle of the install."""
    DUPLICATE_UUID = "duplicate-uuid"
    """It ships with the UUID of another machine."""
    FLAKY_NETWORK = "flaky-network"
    """One request in six is lost, one answer in six does not arrive."""


MEANING: Mapping[Fault, str] = {
    Fault.SLOW: "requests take long, bodies arrive in pieces; same end as a good machine",
    Fault.SILENT: "vanishes after its first report; ends silent",
    Fault.SILENT_INSTALL: "vanishes while installing; ends silent, the others go on",
    Fault.SILENT_UPDATE: "vanishes while it holds the slot; ends silent, nobody else goes down",
    Fault.FLAPS: "loses power now and then; same end as a good machine",
    Fault.LIES: "reports another config; ends outdated",
    Fault.FAIL_INSTALL: "its first install fails; same end as a good machine",
    Fault.REBOOT_MID_INSTALL: "power loss in the install; same end as a good machine",
    Fault.DUPLICATE_UUID: "two or more machines with one UUID; they wait without a role",
    Fault.FLAKY_NETWORK: "requests and answers get lost; same end as a good machine",
}


def parse_fault(text: str) -> tuple[Fault, int]:
    """Read `NAME` or `NAME=COUNT`; raises ValueError that lists the names."""
    name, separator, count = text.partition("=")
    names = ", ".join(Fault)
    if name not in set(Fault):
        raise ValueError(f"unknown fault {name!r}; there are {names}")
    fault = Fault(name)
    least = 2 if fault is Fault.DUPLICATE_UUID else 1
    if not separator:
        return fault, least
    if not count.isdigit() or int(count) < least:
        raise ValueError(f"{name}={count}: expected a number of machines, at least {least}")
    return fault, int(count)


def spread_faults(
    faults: Mapping[Fault, int], machines: int, dice: random.Random
) -> list[frozenset[Fault]]:
    """Which machine has which faults; each machine has one, as long as there are enough.

    Raises ValueError when more faulty machines are asked for than there are machines.
    """
    wanted: Sequence[Fault] = [fault for fault, count in faults.items() for _ in range(count)]
    if len(wanted) > machines:
        raise ValueError(f"{len(wanted)} faulty machines asked for, {machines} machines in all")
    chosen = dice.sample(range(machines), len(wanted))
    by_machine = dict(zip(chosen, wanted, strict=True))
    return [
        frozenset({by_machine[index]}) if index in by_machine else frozenset()
        for index in range(machines)
    ]
