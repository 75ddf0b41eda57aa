"""What the installed system does: start, get ready, and report its config each interval."""

from __future__ import annotations

import json

from simulator.client import Refused, Unreachable
from simulator.disks import Installed
from simulator.faults import Fault
from simulator.firmware import parse_checked
from simulator.fleetlock import give_slot_back
from simulator.ignition import digest
from simulator.machine import Machine, Phase, as_body

_FULL_FIRST = 0.1
_FLAPS = 0.1


async def start(machine: Machine) -> Phase:
    """Boot from the disk: Ignition applies what was staged, then the agent gets ready."""
    await machine.pause(machine.timing.boot)
    disk = machine.disk()
    if disk.staged is not None:
        disk = Installed(running=disk.staged, lock=disk.lock)
        machine.world.disks.write(machine.who.mac, disk)
    config = parse_checked(machine, disk.running)
    machine.api = config.api_uri or machine.world.url
    machine.roles = config.roles
    await _read_metadata(machine)
    return await _ready(machine, disk)


async def _read_metadata(machine: Machine) -> None:
    """Membership is run-time data; the last good copy is kept, so that a failure is no drama."""
    try:
        answer = await machine.get(
            f"/metadata?{machine.who.raw_query}", route="/metadata?os=installed"
        )
    except (Unreachable, Refused):
        return
    lines = answer.body.decode("utf-8", "replace").splitlines()
    if not lines or not all("=" in line for line in lines):
        machine.violation("GET /metadata did not answer with lines KEY=value")


async def _ready(machine: Machine, disk: Installed) -> Phase:
    """All checks passed: report what runs, then give the slot back if one is held."""
    if not disk.lock:
        machine.say("started its installed system")
        return Phase.RUNNING
    await _send_report(machine)
    await give_slot_back(machine, json.loads(disk.lock))
    machine.say("is back, ready, and gave the slot back")
    return Phase.RUNNING


async def report(machine: Machine) -> Phase:
    """Once an interval: the digest of what runs; the whole document when the engine asks."""
    await machine.pause(machine.timing.interval)
    await _send_report(machine)
    if machine.has(Fault.SILENT):
        machine.say("vanishes without a word")
        machine.world.audit.vanishes(machine.name, machine.role, machine.domain)
        return Phase.SILENT
    if machine.has(Fault.FLAPS) and machine.dice.random() < _FLAPS:
        machine.say("loses its power")
        machine.new_boot()
        await machine.pause(machine.timing.off)
        return Phase.FIRMWARE
    if machine.is_up_to_date:
        machine.say("is up to date")
        return Phase.RUNNING
    return Phase.OUTDATED


async def _send_report(machine: Machine) -> None:
    running = _reported_document(machine)
    is_full_first = machine.is_full_wanted or machine.dice.random() < _FULL_FIRST
    body = running if is_full_first else as_body({"sha512": digest(running)})
    verdict, wants_full = await _post_report(machine, body)
    if wants_full and not is_full_first:
        verdict, wants_full = await _post_report(machine, running)
    machine.is_up_to_date = verdict
    machine.reports += 1


def _reported_document(machine: Machine) -> bytes:
    running = machine.disk().running
    if machine.has(Fault.LIES):
        return running.replace(b"{", b'{"liar":"' + machine.name.encode() + b'",', 1)
    return running


async def _post_report(machine: Machine, body: bytes) -> tuple[bool, bool]:
    """Is it up to date, and does the engine want the whole document?"""
    answer = await machine.post(
        f"/lifecycle/ignition/{machine.who.raw_query}",
        route="/lifecycle/ignition/…",
        body=body,
        expected=(200, 210),
    )
    return answer.status == 200, answer.document().get("send") == "full"


async def vanish(machine: Machine) -> Phase:
    """Nothing more comes from this machine."""
    await machine.pause(3600)
    return Phase.SILENT
