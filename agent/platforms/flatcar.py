"""Flatcar: `flatcar-install` onto a disk, `flatcar-reset` so that Ignition runs again.

https://www.flatcar.org/docs/latest/installing/bare-metal/installing-to-disk/
https://www.flatcar.org/docs/latest/setup/releases/flatcar-reset/
"""

from __future__ import annotations

import logging
import re
import tempfile
from pathlib import Path

from agent.commands import Result, run
from agent.config import Config
from agent.facts.disks import Disk
from agent.files import read_bytes, read_text
from agent.ignition import BadConfig, parse_config
from agent.platforms.base import PlatformFailed
from agent.signatures import Probe

logger = logging.getLogger("enjoliver-agent")

LABELS = frozenset(
    {"EFI-SYSTEM", "BIOS-BOOT", "USR-A", "USR-B", "ROOT-C", "OEM", "OEM-CONFIG", "ROOT"}
)
"""Partition labels of a Flatcar disk."""
_SURE_LABELS = {"USR-A", "OEM", "ROOT"}
KEEP_PATHS = (
    "/etc/ssh/ssh_host_.*",
    "/var/log",
    "/var/lib/etcd.*",
    "/var/lib/openbao.*",
    "/var/lib/vault.*",
    "/var/lib/containerd",
    "/var/lib/enjoliver",
)
"""Regular expressions of what a reset keeps, besides the machine's id."""
_FIRST_BOOT = ("flatcar.first_boot=", "coreos.first_boot=", "ignition.firstboot")
_ACTIONS = {"reboot": "reboot", "kexec": "kexec", "poweroff": "poweroff"}


class FlatcarPlatform:
    """A machine that runs Flatcar, in RAM or from its disk."""

    name = "flatcar"

    def __init__(self, config: Config) -> None:
        self._config = config

    @property
    def applied_config(self) -> Path:
        """Where flatcar-install and flatcar-reset put the config."""
        return self._config.root / "oem/config.ign"

    def is_own_layout(self, disk: Disk, found: Probe) -> bool:
        """Flatcar's partitions, each once, no other one, and nothing that spans disks."""
        labels = [label for label, _ in disk.parts]
        is_plain = len(labels) == len(set(labels)) and not disk.volumes
        return is_plain and _SURE_LABELS <= set(labels) <= LABELS

    def read_owner(self, disk: Disk, found: Probe) -> str:
        """The UUID in the config on the disk's OEM partition."""
        path = next((path for label, path in disk.parts if label == "OEM"), "")
        if not path:
            return ""
        with tempfile.TemporaryDirectory(prefix="enjoliver-oem-") as folder:
            if not run(["mount", "-o", "ro", path, folder], seconds=30).is_good:
                return ""
            try:
                document = read_bytes(Path(folder) / "config.ign") or b""
            finally:
                run(["umount", folder], seconds=30)
        return owner_of(document)

    def install(self, device: Path, config: Path, uuid: str) -> None:
        """flatcar-install, with the release and the place of the settings."""
        command = ["flatcar-install", "-d", str(device), "-i", str(config)]
        base, version = self._config.text("INSTALL_BASE_URL"), self._config.text("INSTALL_VERSION")
        command += ["-b", base] if base else []
        command += ["-V", version] if version else []
        self._check(command, run(command, seconds=self._config.install_seconds))

    def stage(self, config: Path) -> None:
        """flatcar-reset with the new config; data paths are kept."""
        extra = self._config.text("AGENT_KEEP_PATHS").split()
        folders = [re.escape(folder) for folder in self._config.data_folders]
        command = ["flatcar-reset", "--keep-machine-id", "--keep-paths"]
        command += [*KEEP_PATHS, *folders, *extra, "--ignition-file", str(config)]
        self._check(command, run(command, seconds=self._config.apply_seconds))

    def restart(self, strategy: str) -> None:
        """By systemd, so that services end in order; kexec falls back to a reboot."""
        action = _ACTIONS[strategy]
        if strategy == "kexec" and not self._load_kernel():
            action = "reboot"
        command = ["systemctl", action]
        result = run(command, seconds=self._config.apply_seconds)
        if action == "kexec" and not result.is_good:
            logger.warning("kexec: %s; rebooting instead", result.sentence())
            command = ["systemctl", "reboot"]
            result = run(command, seconds=self._config.apply_seconds)
        self._check(command, result)

    def _load_kernel(self) -> bool:
        kernel, line = kexec_arguments(
            read_text(self._config.root / "proc/cmdline"),
            read_text(self._config.root / "etc/machine-id"),
        )
        if not kernel:
            logger.warning("kexec: the kernel's arguments do not name its file; rebooting instead")
            return False
        command = ["kexec", "--load", f"/boot{kernel}", f"--command-line={line}"]
        result = run(command, seconds=self._config.apply_seconds)
        if not result.is_good:
            logger.warning("kexec: %s; rebooting instead", result.sentence())
        return result.is_good

    @staticmethod
    def _check(command: list[str], result: Result) -> None:
        if not result.is_good:
            raise PlatformFailed(f"{command[0]}: {result.sentence()}")


def owner_of(document: bytes) -> str:
    """The machine's UUID in an Ignition config; "" when it says none."""
    try:
        return parse_config(document).environment.get("ENJOLIVER_UUID", "").lower()
    except BadConfig:
        return ""


def kexec_arguments(cmdline: str, machine_id: str) -> tuple[str, str]:
    """Kernel file below /boot, and arguments with which Ignition runs once more.

    kexec skips GRUB, which would add the first-boot argument: `detected`, since with `1` Ignition
    would run at every later start too. The kernel is "" when GRUB did not name it.
    """
    kept, kernel = [], ""
    for word in cmdline.split():
        if word.startswith("BOOT_IMAGE="):
            kernel = re.sub(r"^\([^)]*\)", "", word.partition("=")[2])
        if not word.startswith((*_FIRST_BOOT, "BOOT_IMAGE=", "systemd.machine_id=")):
            kept.append(word)
    kept.append("flatcar.first_boot=detected")
    if machine_id:
        kept.append(f"systemd.machine_id={machine_id}")
    return (kernel if kernel.startswith("/") else ""), " ".join(kept)
