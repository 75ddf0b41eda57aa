"""The driver of virtual machines."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lab.drivers.base import Asset, DiskFault, DriverFailed, MachineState, Say
from lab.drivers.libvirt import disks
from lab.drivers.libvirt.consoletext import read_phase
from lab.drivers.libvirt.daemon import TEMPLATES, Daemon
from lab.drivers.libvirt.flatcar import KERNEL, Flatcar, find_flatcar
from lab.drivers.libvirt.hypervisor import Hypervisor
from lab.drivers.libvirt.probe import Accelerator, choose
from lab.errors import LabFailed
from lab.image import vm
from lab.network import Network
from lab.paths import LabPaths
from lab.templating import fill
from lab.topology import DiskContent, LabMachine, Topology

PROGRAMS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "libvirtd": "libvirt-daemon",
    "mmdebstrap": "mmdebstrap",
    "mksquashfs": "squashfs-tools",
    "mkfs.ext4": "e2fsprogs",
    "unshare": "util-linux",
}
"""Programs that the driver runs, and the Debian package of each."""
_LEAST_MIB = 1024
"""The discovery system lies in memory twice while it starts."""


class LibvirtDriver:
    """Machines as virtual ones: SeaBIOS, iPXE out of the network card, disks, serial console."""

    name = "libvirt"
    boots_at_once = 2

    def __init__(self, lab: LabPaths, topology: Topology, network: Network) -> None:
        self._lab, self._topology, self._network = lab, topology, network
        self._daemon = Daemon(lab, network.namespace)
        self._hypervisor = Hypervisor(self._daemon)
        self._accelerator: Accelerator | None = None

    def missing(self) -> list[str]:
        """What this computer and this topology lack, a sentence each."""
        found = [
            f"{program} is missing: install the package {package}."
            for program, package in PROGRAMS.items()
            if not shutil.which(program)
        ]
        if importlib.util.find_spec("libvirt") is None:
            found.append("libvirt's Python package is missing: run `make setup-lab-vm`.")
        if os.geteuid() != 0:
            found.append("Virtual machines on the lab's network need root.")
        if not self._is_users_own and not vm.IGNITION.exists():
            found.append("Ignition is not built: run `make setup`.")
        found += [
            f"{spec.name}: a virtual machine needs at least {_LEAST_MIB} MiB of memory."
            for spec in self._topology.specs
            if spec.memory_mib < _LEAST_MIB
        ]
        return found

    # What the engine serves

    @property
    def _is_users_own(self) -> bool:
        """Whether the topology's values name kernel and initrd, so that no image is ours."""
        return "boot_kernel" in self._topology.values

    def prepare(self, say: Say) -> list[Asset]:
        """Flatcar's files where the user has them, else the lab's own image."""
        with _in_our_words():
            assets = self._assets(say)
            self._accelerator = self._choose_accelerator(say)
        return assets

    def _assets(self, say: Say) -> list[Asset]:
        if self._is_users_own:
            return []
        flatcar = find_flatcar()
        return flatcar.assets() if flatcar else vm.build(self._lab.cache, say).assets()

    def values(self, api_uri: str) -> dict[str, object]:
        """What machines boot, and which version they install."""
        with _in_our_words():
            if self._is_users_own:
                return {}
            flatcar: Flatcar | None = find_flatcar()
            return flatcar.values() if flatcar else vm.image_of(self._lab.cache).values()

    def _choose_accelerator(self, say: Say) -> Accelerator:
        return choose(self._lab.cache, self._a_kernel(), _emulator(), say)

    def _a_kernel(self) -> Path | None:
        """Some kernel to try KVM with."""
        flatcar = find_flatcar()
        candidates = [flatcar.folder / KERNEL] if flatcar else []
        if vm.IGNITION.exists():
            candidates.append(vm.image_of(self._lab.cache).kernel)
        candidates.append(Path("/boot") / f"vmlinuz-{os.uname().release}")
        return next((path for path in candidates if path.exists()), None)

    # One machine

    def define(self, machine: LabMachine) -> None:
        """Make the disks that are not there, and the domain."""
        with _in_our_words():
            folder = self._lab.machine_folder(machine.name)
            for spec, disk in zip(machine.spec.disks, disks.files_of(machine, folder), strict=True):
                if not disk.path.exists():
                    disks.make(disk.path, spec, spec.content)
            self.console(machine).touch()
            if self._hypervisor.is_on(machine.name) is None:
                self._describe(machine)

    def power_on(self, machine: LabMachine) -> None:
        """Plug its cable in and switch it on; nothing when it is on."""
        with _in_our_words():
            if self._hypervisor.is_on(machine.name):
                return
            # Each time anew: the accelerator may be another one since.
            self._describe(machine)
            self._network.tap(machine)
            self._hypervisor.start(machine.name)

    def _describe(self, machine: LabMachine) -> None:
        if self._accelerator is None:
            self._accelerator = self._choose_accelerator(lambda _: None)
        xml = fill(
            "domain.xml.j2",
            TEMPLATES,
            machine=machine,
            is_kvm=self._accelerator == "kvm",
            emulator=_emulator(),
            disks=disks.files_of(machine, self._lab.machine_folder(machine.name)),
            port=self._network.port(machine),
            console=self.console(machine),
        )
        self._hypervisor.define(xml)

    def power_off(self, machine: LabMachine, *, is_hard: bool = False) -> None:
        """Press its button and wait, or pull the plug."""
        if self._daemon.is_running or not is_hard:
            self._hypervisor.stop(machine.name, is_hard=is_hard)

    def reset(self, machine: LabMachine) -> None:
        """Pull the plug and switch it on again."""
        self.power_off(machine, is_hard=True)
        self.power_on(machine)

    def state(self, machine: LabMachine) -> MachineState:
        """How it is now; without a libvirtd nothing runs that this driver started."""
        if not self._daemon.is_running:
            is_made = self._lab.machine(machine.name).exists()
            return MachineState(is_made, power="off", phase="off")
        try:
            is_on = self._hypervisor.is_on(machine.name)
        except DriverFailed as error:
            return MachineState(is_defined=True, power="off", detail=str(error))
        if not is_on:
            return MachineState(is_on is not None, power="off", phase="off")
        return MachineState(is_defined=True, power="on", phase=read_phase(self.console(machine)))

    def console(self, machine: LabMachine) -> Path:
        """The file that its serial line ends in."""
        return self._lab.console(machine.name)

    def enter(self, machine: LabMachine, command: Sequence[str]) -> list[str]:
        """The command line that runs `command` beside the switch, where the machine answers."""
        return self._network.command(list(command) or [os.environ.get("SHELL", "/bin/sh")])

    def set_link(self, machine: LabMachine, *, is_up: bool) -> None:
        """Plug its cable in or out."""
        with _in_our_words():
            self._network.set_link(machine, is_up=is_up)

    def break_disks(self, machine: LabMachine, fault: DiskFault) -> str:
        """Put somebody else's data on all disks, or an empty one in the place of the first."""
        if self.state(machine).power == "on":
            raise DriverFailed(f"{machine.name} is on: switch it off before its disks are changed.")
        content: DiskContent = "data" if fault == "foreign-disk" else "empty"
        specs = machine.spec.disks if fault == "foreign-disk" else machine.spec.disks[:1]
        files = disks.files_of(machine, self._lab.machine_folder(machine.name))
        with _in_our_words():
            for spec, file in zip(specs, files, strict=False):
                disks.make(file.path, spec, content)
        names = ", ".join(spec.name for spec in specs)
        what = "holds somebody else's file system" if content == "data" else "is new and empty"
        return f"{machine.name}: {names} {what}"

    def remove(self, machine: LabMachine) -> None:
        """The domain, the port, the folder with its disks."""
        with _in_our_words():
            if self._daemon.is_running or self._lab.driver.exists():
                self._hypervisor.remove(machine.name)
            self._network.detach(machine)
            shutil.rmtree(self._lab.machine(machine.name), ignore_errors=True)

    def tidy(self) -> None:
        """Stop the lab's libvirtd and remove what it kept."""
        with _in_our_words():
            self._hypervisor.close()
            self._daemon.stop()
            shutil.rmtree(self._lab.driver, ignore_errors=True)


def _emulator() -> str:
    path = shutil.which("qemu-system-x86_64")
    if path is None:
        raise DriverFailed("qemu-system-x86_64 is missing: install the package qemu-system-x86.")
    return path


@contextmanager
def _in_our_words() -> Iterator[None]:
    try:
        yield
    except LabFailed as error:
        raise DriverFailed(str(error)) from error
    except OSError as error:
        raise DriverFailed(f"{error.strerror}: {error.filename}") from error
