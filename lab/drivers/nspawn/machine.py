"""`python -m lab.drivers.nspawn.machine FOLDER`: one machine while it is switched on.

The process is the machine's power: it runs as the first process of a process namespace of its
own, so that whoever kills it, or the `unshare` above it, pulls the plug of everything below.
"""

from __future__ import annotations

import signal
import sys
import time
import uuid
from pathlib import Path
from types import FrameType
from typing import IO

from lab.drivers.base import DriverFailed
from lab.drivers.nspawn import bases, bootdisk, container, dhcp, freshroot, hardware, mounts
from lab.drivers.nspawn.cgroups import Groups, is_version_2
from lab.drivers.nspawn.firmware import Firmware, Loaded, NotBootable, run_script
from lab.drivers.nspawn.ignite import ignite
from lab.drivers.nspawn.settings import MachineFolder
from lab.errors import LabFailed
from lab.programs import run
from simulator.ipxe import BootDisk, BootKernel, CommandFailed

LINK = "host0"
_LEASE_SECONDS = 60.0
_NOTHING_SECONDS = 5.0
_MEMORY_ROOT_MIB = 1024
FIRST_BOOT = "flatcar.first_boot=1"


class _PowerOff(Exception):
    """The power button was pressed before a system ran."""


class Supervisor:
    """Firmware, boot, and again, until the machine is switched off."""

    def __init__(self, folder: MachineFolder, console: IO[bytes]) -> None:
        self._folder, self._console = folder, console
        self._settings = folder.read_settings()
        self._cache = Path(self._settings.cache)
        self._container: container.Container | None = None
        self._is_stopping = False
        self._has_lease = False

    def run(self) -> None:
        """Until the machine is off; how it ended stands in the phase."""
        signal.signal(signal.SIGTERM, self._press_button)
        ending = ""
        try:
            while not self._is_stopping:
                status = self._boot()
                if status != container.REBOOT:
                    ending = "" if status == 0 else f"its container ended with {status}"
                    break
                self.say("reboots")
        except _PowerOff:
            pass
        self._folder.write_phase("off", ending)
        self.say(f"is off {ending}".strip())

    def say(self, text: str) -> None:
        """A line of the firmware's on the console."""
        stamp = time.strftime("%H:%M:%S", time.gmtime())
        lines = text.replace("\n", "\r\n")
        self._console.write(f"[firmware {stamp}] {lines}\r\n".encode())
        self._console.flush()

    def _press_button(self, signum: int, frame: FrameType | None) -> None:
        self._is_stopping = True
        if self._container is None:
            raise _PowerOff
        self._container.shut_down()

    # Firmware

    def _boot(self) -> int:
        """One start; the container's exit status, or a reboot's when nothing could start."""
        why = "found nothing to boot"
        self._power_on_self_test()
        try:
            devices = ("disk",) if self._take_kexec() else self._settings.boot_order
            for device in devices:
                status = self._boot_network() if device == "network" else self._boot_disk()
                if status is not None:
                    return status
        except (DriverFailed, LabFailed, NotBootable, OSError) as error:
            why = f"cannot boot: {error}"
        finally:
            mounts.unmount_all(self._folder.mounts)
        self.say(why)
        self._folder.write_phase("firmware", f"{why[:300]}; tries again")
        time.sleep(_NOTHING_SECONDS)
        return container.REBOOT

    def _power_on_self_test(self) -> None:
        self._folder.write_phase("firmware")
        facts = self._folder.hardware / "facts"
        facts.mkdir(parents=True, exist_ok=True)
        (facts / "boot_id").write_text(f"{uuid.uuid4()}\n")
        (facts / "ignition.journal").write_text("")
        hardware.write_lsblk(self._folder.hardware)
        self._forget_lease()

    def _take_kexec(self) -> bool:
        """Whether the system asked for a start that no firmware decides; once."""
        found = False
        for flag in self._folder.disks.glob("*/oem/kexec"):
            flag.unlink()
            found = True
        return found

    def _lease(self) -> str:
        """An address by DHCP; the boot script's URL. Raises NoLease."""
        transaction = uuid.uuid4().int & 0xFFFFFFFF
        lease = dhcp.ask(LINK, self._settings.mac, transaction, seconds=_LEASE_SECONDS)
        run(["ip", "address", "replace", str(lease.address), "dev", LINK])
        self._has_lease = True
        self.say(f"has {lease.address} from {lease.server}, boot script {lease.boot_url or 'none'}")
        return lease.boot_url

    def _forget_lease(self) -> None:
        # Down first: an IPv6 address that is flushed while the link is up does not come back, and
        # the system would wait a minute for it.
        run(["ip", "link", "set", LINK, "down"])
        run(["ip", "address", "flush", "dev", LINK])
        run(["ip", "link", "set", LINK, "up"])
        self._has_lease = False

    def _boot_network(self) -> int | None:
        """What the network says; None: the next device."""
        firmware = Firmware(Path(self._settings.downloads), self.say)
        try:
            url = self._lease()
            if not url:
                return None
            outcome = run_script(firmware, self._settings, url)
        except (dhcp.NoLease, CommandFailed) as error:
            self.say(f"no network boot: {error}")
            return None
        if isinstance(outcome, BootKernel):
            return self._boot_memory(firmware.loaded(outcome))
        why = f"drive {outcome.drive}" if isinstance(outcome, BootDisk) else outcome.reason
        self.say(f"leaves the network boot: {why}")
        return None

    # Systems

    def _boot_memory(self, loaded: Loaded) -> int:
        """A system in memory: nothing of it is left after a restart."""
        base = bases.keep_base(self._cache, loaded.archive, loaded.sha512)
        memory, root = self._folder.mounts / "memory", self._folder.mounts / "root"
        mounts.mount_memory(memory, mebibytes=min(_MEMORY_ROOT_MIB, self._settings.memory_mib))
        mounts.mount_layers(root, base, memory / "upper", memory / "work")
        self._write_cmdline(loaded.cmdline)
        if FIRST_BOOT in loaded.arguments:
            self._ignite(root)
        return self._start("discovery", root, oem=None)

    def _boot_disk(self) -> int | None:
        """The first disk with a whole install; None when there is none."""
        found = bootdisk.find_boot_disk(self._folder.hardware)
        if found is None:
            self.say("finds no system on its disks")
            return None
        name, record = found
        disk = self._folder.disks / name
        oem = disk / "oem"
        base = self._base(name, record)
        is_first = (oem / "first-boot").exists()
        self.say(f"boots {name}" + (", first start of its config" if is_first else ""))
        if is_first:
            keep = freshroot.read_keep_paths(_text(oem / "keep-paths"))
            freshroot.make_fresh(disk, (*freshroot.KEPT, *keep))
        root = self._folder.mounts / "root"
        mounts.mount_layers(root, base, disk / "upper", disk / "work")
        first = " flatcar.first_boot=detected" if is_first else ""
        self._write_cmdline(f"BOOT_IMAGE=/{record.sha512[:16]} root=LABEL=ROOT{first}")
        if is_first:
            self._ignite(root, oem / "config.ign")
            (oem / "first-boot").unlink()
        return self._start("installed", root, oem=oem)

    def _base(self, name: str, record: bootdisk.BootRecord) -> Path:
        """The image on the disk, unpacked; it is read off the disk where nobody has it."""
        base = bases.base_of(self._cache, record.sha512)
        if base.exists():
            return base
        draft = self._folder.root / "image.new"
        bootdisk.copy_image(self._folder.hardware / "dev" / name, record, draft)
        try:
            return bases.keep_base(self._cache, draft, record.sha512)
        finally:
            draft.unlink()

    def _ignite(self, root: Path, config: Path | None = None) -> None:
        if not self._has_lease:
            try:
                self._lease()
            except dhcp.NoLease as error:
                self.say(f"Ignition has no network: {error}")
        self._folder.write_phase("firmware", "Ignition")
        program, work = self._settings.ignition, self._folder.root / "ignition"
        said = ignite(program, root, self._folder.hardware, work, config=config)
        (self._folder.hardware / "facts/ignition.journal").write_text(said)
        self.say(f"Ignition applied {config or 'the config of the kernel arguments'}")

    def _write_cmdline(self, text: str) -> None:
        (self._folder.hardware / "proc/cmdline").write_text(f"{text}\n")

    def _start(self, phase: str, root: Path, oem: Path | None) -> int:
        """Run the system until it ends; its container's exit status."""
        self._forget_lease()
        shown = container.binds(self._folder, oem)
        words = container.command(self._settings, root, shown)
        self._folder.write_phase(phase)
        self._container = container.Container(words, self._console)
        try:
            if self._is_stopping:
                self._container.shut_down()
            return self._container.wait()
        finally:
            self._container = None


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def main(arguments: list[str]) -> int:
    """Be the machine of one folder, until it is off."""
    folder = MachineFolder(Path(arguments[0]))
    settings = folder.read_settings()
    if not is_version_2():
        Groups(settings.namespace).enter()
    with folder.console.open("ab") as console:
        Supervisor(folder, console).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
