"""The driver of container machines."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from lab import netns
from lab.drivers.base import Asset, DiskFault, DriverFailed, MachineState, Say
from lab.drivers.nspawn import hardware, launch
from lab.drivers.nspawn.bases import adopt_base
from lab.drivers.nspawn.cgroups import Groups, is_version_2
from lab.drivers.nspawn.firmware import KERNEL_MARK
from lab.drivers.nspawn.settings import MachineFolder, Settings
from lab.errors import LabFailed
from lab.image.root import RootImage, build_root
from lab.network import Network
from lab.paths import REPOSITORY, LabPaths
from lab.programs import run, start
from lab.topology import DiskContent, LabMachine, Topology

IGNITION = REPOSITORY / ".cache" / "bin" / "ignition"
PROGRAMS = {
    "systemd-nspawn": "systemd-container",
    "mmdebstrap": "mmdebstrap",
    "zstd": "zstd",
    "nsenter": "util-linux",
    "blkid": "util-linux",
    "mkfs.ext4": "e2fsprogs",
    "useradd": "passwd",
    "ip": "iproute2",
}
"""Programs that the driver runs, and the Debian package of each."""
_SYSTEMD = Path("/run/systemd/system")
_PROPAGATE = Path("/run/systemd/nspawn/propagate")


class NspawnDriver:
    """Machines as systemd-nspawn containers, each in a network namespace of its own."""

    name = "nspawn"
    boots_at_once = 8

    def __init__(self, lab: LabPaths, topology: Topology, network: Network) -> None:
        self._lab, self._topology, self._network = lab, topology, network
        self._image: RootImage | None = None

    def missing(self) -> list[str]:
        """What this computer lacks, a sentence each."""
        found = [
            f"{program} is missing: install the package {package}."
            for program, package in PROGRAMS.items()
            if not shutil.which(program)
        ]
        if os.geteuid() != 0:
            found.append("Container machines need root.")
        if not IGNITION.exists():
            found.append("Ignition is not built: run `make setup`.")
        if is_version_2() and not _SYSTEMD.is_dir():
            found.append(
                "This computer has cgroup v2 and no systemd that could keep the machines away "
                "from its disks."
            )
        return found

    # What the engine serves

    def prepare(self, say: Say) -> list[Asset]:
        """The system image, its checksum, and what stands for a kernel."""
        try:
            self._image = image = build_root(self._lab.cache, say)
        except LabFailed as error:
            raise DriverFailed(str(error)) from error
        adopt_base(self._lab.cache, image.folder, image.sha512)
        folder = image.archive.parent
        sums, kernel = folder / "SHA512SUMS", folder / "kernel"
        sums.write_text(f"{image.sha512}  root.tar.zst\n")
        kernel.write_bytes(KERNEL_MARK + image.sha512[:16].encode() + b"\n")
        place = self._place(image)
        return [Asset(path, f"{place}/{path.name}") for path in (kernel, image.archive, sums)]

    def values(self, api_uri: str) -> dict[str, object]:
        """Where the machines find their system. `prepare` goes before."""
        if self._image is None:
            self.prepare(lambda _: None)
        assert self._image is not None  # noqa: S101
        place = self._place(self._image)
        return {
            "boot_kernel": f"{place}/kernel",
            "boot_initrd": f"{place}/root.tar.zst",
            "install_version": place,
        }

    @staticmethod
    def _place(image: RootImage) -> str:
        return f"lab-nspawn-{image.sha512[:16]}"

    # A machine

    def folder(self, machine: LabMachine) -> MachineFolder:
        """Where the machine's files lie."""
        return MachineFolder(self._lab.machine(machine.name))

    def define(self, machine: LabMachine) -> None:
        """Its folder, its hardware, its port; what is there stays as it is."""
        self._lab.machine_folder(machine.name)
        folder = self.folder(machine)
        namespace = self._network.attach_namespace(machine)
        folder.disks.mkdir(parents=True, exist_ok=True)
        hardware.lay_out(folder.hardware, machine)
        folder.agent.write_text(hardware.AGENT_SETTINGS)
        folder.write_settings(
            Settings(
                name=machine.name,
                lab=machine.lab,
                uuid=machine.uuid,
                mac=machine.mac,
                serial=machine.serial,
                memory_mib=machine.spec.memory_mib,
                cpus=machine.spec.cpus,
                namespace=namespace,
                cache=str(self._lab.cache),
                downloads=str(self._lab.driver / "downloads"),
                ignition=str(IGNITION),
            )
        )

    def power_on(self, machine: LabMachine) -> None:
        """Start its supervisor."""
        folder = self.folder(machine)
        if folder.read_supervisor() is not None:
            return
        if not folder.settings.exists():
            raise DriverFailed(f"{machine.name} is not defined")
        settings = folder.read_settings()
        self._network.attach_namespace(machine)
        if not is_version_2():
            groups = Groups(settings.namespace)
            groups.remove()
            groups.make(memory_mib=settings.memory_mib)
        process = start(
            launch.command(settings, folder.root),
            folder=self._lab.root,
            part=f"machine-{machine.name}",
            log=folder.root / "supervisor.log",
            base={**os.environ, "PYTHONPATH": str(REPOSITORY), "SYSTEMD_NSPAWN_LOCK": "0"},
        )
        folder.write_supervisor(process)

    def power_off(self, machine: LabMachine, *, is_hard: bool = False) -> None:
        """Ask its system, and pull the plug when that takes too long; or at once."""
        folder = self.folder(machine)
        process = folder.read_supervisor()
        if process is not None:
            if not is_hard:
                launch.press_button(process)
            process.stop(is_hard=True)
        if folder.settings.exists() and not is_version_2():
            Groups(folder.read_settings().namespace).remove()
        folder.supervisor.unlink(missing_ok=True)

    def reset(self, machine: LabMachine) -> None:
        """Pull the plug and switch it on again."""
        self.power_off(machine, is_hard=True)
        self.power_on(machine)

    def state(self, machine: LabMachine) -> MachineState:
        """How it is now."""
        folder = self.folder(machine)
        _, phase, detail = (folder.read_phases() or [(0.0, "", "")])[-1]
        if folder.read_supervisor() is not None:
            return MachineState(is_defined=True, power="on", phase=phase, detail=detail)
        detail = detail if phase == "off" else ""
        return MachineState(folder.settings.exists(), power="off", phase="off", detail=detail)

    def console(self, machine: LabMachine) -> Path:
        """The file with all that it wrote."""
        return self.folder(machine).console

    def enter(self, machine: LabMachine, command: Sequence[str]) -> list[str]:
        """The command line that runs `command` in the machine's network."""
        words = list(command) or [os.environ.get("SHELL", "/bin/sh")]
        return netns.inside(self._network.machine_namespace(machine), words)

    def journal(self, machine: LabMachine, lines: int) -> list[str]:
        """The last lines of the journal on its disk; none of a system in memory."""
        if self.state(machine).phase == "discovery":
            return []
        folders = self.folder(machine).disks.glob("*/upper/var/log/journal")
        command = ["journalctl", "--no-pager", "--output=short-iso", f"--lines={lines}"]
        command += [f"--directory={folder}" for folder in sorted(folders)[:1]]
        if len(command) < 5:
            return []
        try:
            return run(command).splitlines()
        except LabFailed as error:
            return [f"(the journal cannot be read: {error})"]

    def break_disks(self, machine: LabMachine, fault: DiskFault) -> str:
        """Put somebody else's data on all disks, or an empty one in the place of the first."""
        folder = self.folder(machine)
        if folder.read_supervisor() is not None:
            raise DriverFailed(f"{machine.name} is on: switch it off before its disks are changed.")
        content: DiskContent = "data" if fault == "foreign-disk" else "empty"
        disks = machine.spec.disks if fault == "foreign-disk" else machine.spec.disks[:1]
        for disk in disks:
            shutil.rmtree(folder.disks / disk.name, ignore_errors=True)
            (folder.hardware / "dev" / disk.name).unlink(missing_ok=True)
            hardware.make_disk(folder.hardware, replace(disk, content=content))
        names = ", ".join(disk.name for disk in disks)
        what = "holds somebody else's file system" if content == "data" else "is new and empty"
        return f"{machine.name}: {names} {what}"

    def set_link(self, machine: LabMachine, *, is_up: bool) -> None:
        """Plug its cable in or out."""
        self._network.set_link(machine, is_up=is_up)

    def remove(self, machine: LabMachine) -> None:
        """The plug, the port, the folder."""
        self.power_off(machine, is_hard=True)
        namespace = self._network.machine_namespace(machine)
        self._network.detach(machine)
        with suppress(FileNotFoundError):
            shutil.rmtree(self.folder(machine).root)
        with suppress(OSError):  # nspawn's, left there when it was killed
            (_PROPAGATE / namespace).rmdir()
