"""How an outdated machine changes: permission, slot, drain, new config, restart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from simulator.client import Refused
from simulator.discovery import fetch_config
from simulator.disks import Installed
from simulator.faults import Fault
from simulator.firmware import BootFirmware, parse_checked
from simulator.fleetlock import give_slot_back, take_slot
from simulator.ignition import BadConfig
from simulator.ipxe import BootKernel, Interpreter
from simulator.machine import Machine, Phase

STRATEGIES = ("kexec", "reboot", "poweroff")


async def ask_strategy(machine: Machine) -> Phase:
    """Ask whether, and how, this outdated machine may update now."""
    answer = await machine.get(
        f"/lifecycle/rolling/{machine.who.raw_query}",
        route="/lifecycle/rolling/…",
        expected=(200, 401, 403),
    )
    if answer.status != 200:
        machine.say("is outdated and has no permission to update")
        return Phase.RUNNING
    document = answer.document()
    machine.strategy, machine.lock = str(document.get("strategy")), _read_lock(document)
    if machine.strategy not in STRATEGIES or not machine.lock:
        machine.violation(f"was granted something it does not understand: {document}")
        return Phase.RUNNING
    machine.say(f"is outdated and may update by {machine.strategy}")
    return Phase.SLOT


def _read_lock(document: Mapping[str, Any]) -> Mapping[str, str]:
    """The FleetLock server, group and id to use; empty when one of them is missing."""
    lock = document.get("lock")
    if not isinstance(lock, dict):
        return {}
    known = {key: str(lock[key]) for key in ("url", "group", "id") if lock.get(key)}
    return known if len(known) == 3 else {}


async def wait_for_slot(machine: Machine) -> Phase:
    """Take the slot; without one go on working and ask again after the next report."""
    if not await take_slot(machine, machine.lock):
        machine.say("wants to update; another machine holds the slot")
        return Phase.RUNNING
    machine.world.audit.goes_down(machine.name, machine.lock["group"], machine.domain)
    machine.say(f"took the slot of group {machine.lock['group']}")
    return Phase.SILENT if machine.has(Fault.SILENT_UPDATE) else Phase.DOWN


async def update(machine: Machine) -> Phase:
    """With the slot in hand: drain, fetch the new config, stage it, restart as granted."""
    machine.say(f"drains its work and updates by {machine.strategy}")
    await machine.pause(machine.timing.drain)
    document = await _new_config(machine)
    config = parse_checked(machine, document)
    if config.is_discovery:
        machine.violation("was given the discovery config although it is installed")
    if config.is_discovery or not machine.check_identity(config):
        await give_slot_back(machine, machine.lock)
        return Phase.RUNNING
    disk = machine.disk()
    machine.world.disks.write(
        machine.who.mac, Installed(running=disk.running, staged=document, lock=disk.lock)
    )
    return await _restart(machine)


async def _new_config(machine: Machine) -> bytes:
    """By kexec from where the new kernel would fetch it, else as the installer does."""
    if machine.strategy == "kexec":
        return (await machine.fetch(await _kexec_config_url(machine))).body
    answer = await fetch_config(machine)
    if answer.status != 200:
        raise Refused("GET /ignition", answer)
    return answer.body


async def _kexec_config_url(machine: Machine) -> str:
    """What the role profile's own boot script tells the kernel."""
    path = f"/ipxe?{machine.who.raw_query}"
    script = await machine.get(path, route="/ipxe?os=installed")
    interpreter = Interpreter(BootFirmware(machine), dict(machine.who.ipxe_settings))
    outcome = await interpreter.run(script.body.decode("utf-8", "replace"), machine.api + path)
    url = outcome.argument("ignition.config.url") if isinstance(outcome, BootKernel) else ""
    if not url:
        machine.violation("the role profile's boot script names no config")
        raise BadConfig("no ignition.config.url in the role profile's boot script")
    return url


async def _restart(machine: Machine) -> Phase:
    """kexec skips the firmware; a power-off lasts until somebody presses the button."""
    if machine.strategy == "kexec":
        machine.say("starts its new system by kexec")
        machine.new_boot()
        return Phase.STARTING
    if machine.strategy == "poweroff":
        machine.say("is powered off")
        machine.new_boot()
        await machine.pause(machine.timing.off)
        return Phase.OFF
    machine.say("reboots")
    return Phase.FIRMWARE
