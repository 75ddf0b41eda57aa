"""What the machine does before a system runs: power, iPXE, and what the script tells it to boot."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from urllib.parse import urlsplit

from simulator.client import Refused, Unreachable
from simulator.ignition import BadConfig, Config, parse_config
from simulator.ipxe import BootDisk, BootKernel, CommandFailed, Interpreter
from simulator.machine import Machine, Phase


async def power_on(machine: Machine) -> Phase:
    """The power button: nothing else happens here."""
    await machine.pause(machine.timing.firmware)
    return Phase.FIRMWARE


async def network_boot(machine: Machine) -> Phase:
    """Fetch and obey the iPXE script, as DHCP told the firmware to (network first, then disk)."""
    await machine.pause(machine.timing.firmware)
    machine.new_boot()
    url = f"{machine.world.url}/boot.ipxe"
    script = await machine.fetch(url)
    interpreter = Interpreter(BootFirmware(machine), dict(machine.who.ipxe_settings))
    outcome = await interpreter.run(script.body.decode("utf-8", "replace"), url)
    if isinstance(outcome, BootKernel):
        return await boot_kernel(machine, outcome)
    reason = f"drive {outcome.drive}" if isinstance(outcome, BootDisk) else outcome.reason
    return boot_disk(machine, reason)


async def no_disk(machine: Machine) -> Phase:
    """Nothing to boot: wait and press the button again."""
    await machine.back_off()
    return Phase.FIRMWARE


def boot_disk(machine: Machine, reason: str) -> Phase:
    """Start from the own disk when there is a system on it."""
    if machine.world.disks.read(machine.who.mac) is None:
        machine.retries += 1
        machine.say(f"finds no system on its disk ({reason}); tries the network again later")
        return Phase.NO_DISK
    machine.say(f"boots its disk ({reason})")
    return Phase.STARTING


async def boot_kernel(machine: Machine, kernel: BootKernel) -> Phase:
    """Start a system in memory; its initramfs fetches the config before anything else runs."""
    machine.config_url = kernel.argument("ignition.config.url")
    if not machine.config_url:
        machine.violation("was given a kernel without ignition.config.url")
        raise BadConfig("the kernel has no ignition.config.url")
    answer = await machine.fetch(machine.config_url)
    config = parse_checked(machine, answer.body)
    if not config.is_discovery:
        raise BadConfig("the firmware was given the config of an installed system")
    if machine.is_install_confirmed and not machine.may_reinstall:
        machine.violation("was sent into discovery although it is installed (an install loop)")
    machine.api = config.api_uri or _origin(machine.config_url)
    machine.say("runs the discovery system in memory")
    return Phase.DISCOVERY


def parse_checked(machine: Machine, document: bytes) -> Config:
    """Parse a config; one that does not parse is a violation. Raises BadConfig."""
    try:
        return parse_config(document)
    except BadConfig as error:
        machine.violation(f"was served a config that does not parse: {error}")
        raise


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


@dataclass(frozen=True, slots=True)
class BootFirmware:
    """The interpreter's way to the network."""

    machine: Machine

    async def load_script(self, url: str) -> str:
        """Fetch a script; 404 or no answer fails the command, as in iPXE."""
        try:
            answer = await self.machine.fetch(url)
        except (Unreachable, Refused) as error:
            raise CommandFailed(str(error)) from error
        return answer.body.decode("utf-8", "replace")

    async def load_image(self, url: str) -> None:
        """Ask for a kernel or initrd. A missing one is counted, not fatal: nothing runs here."""
        try:
            answer = await self.machine.probe(url)
        except Unreachable as error:
            raise CommandFailed(str(error)) from error
        if answer.status >= 400:
            self.machine.world.costs.missing_assets += 1

    async def pause(self, seconds: float) -> None:
        """A `sleep` of the script, never longer than this run's longest pause."""
        await asyncio.sleep(min(seconds, self.machine.timing.longest_pause))
