"""The slot: FleetLock as a client speaks it.

Protocol: https://coreos.github.io/zincati/development/fleetlock/protocol/
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from simulator.disks import Installed
from simulator.machine import Machine, as_body

_HEADERS = {"fleet-lock-protocol": "true"}


async def take_slot(machine: Machine, lock: Mapping[str, str]) -> bool:
    """Ask for the slot; True when this machine holds it. The disk remembers what is held.

    Any refusal is "not now", also that of a group that went away: the machine goes on reporting.
    """
    if await _ask(machine, lock, "pre-reboot", expected=(200, *range(400, 500))) != 200:
        return False
    disk = Installed(running=machine.disk().running, lock=json.dumps(dict(lock)))
    machine.world.disks.write(machine.who.mac, disk)
    return True


async def give_slot_back(machine: Machine, lock: Mapping[str, str]) -> None:
    """Say that the machine works again, until the server has heard it."""
    machine.world.audit.comes_back(machine.name, lock["group"])
    await _ask(machine, lock, "steady-state", expected=(200,))
    machine.world.disks.write(machine.who.mac, Installed(running=machine.disk().running))


async def _ask(
    machine: Machine, lock: Mapping[str, str], verb: str, *, expected: tuple[int, ...]
) -> int:
    params = {"client_params": {"id": lock["id"], "group": lock["group"]}}
    answer = await machine.post(
        f"/v1/{verb}",
        base=lock["url"].rstrip("/"),
        body=as_body(params),
        headers=_HEADERS,
        expected=expected,
    )
    return answer.status
