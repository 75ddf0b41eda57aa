"""The lab's systems: commands out of the settings do the work, and learn by environment what."""

from __future__ import annotations

import shlex
from pathlib import Path

from agent.commands import run
from agent.config import Config
from agent.facts.disks import Disk
from agent.platforms.base import PlatformFailed
from agent.signatures import Probe

MARK = b"ENJOLIVER-LAB-DISK "
"""An install without partitions starts with this mark and the machine's UUID."""


class LabPlatform:
    """`ENJOLIVER_AGENT_{INSTALL,STAGE,RESTART}_COMMAND`, without a shell."""

    name = "lab"

    def __init__(self, config: Config) -> None:
        self._config = config
        labels = config.text("AGENT_OWN_LABELS").split(",")
        self._labels = {label.strip() for label in labels if label.strip()}

    @property
    def applied_config(self) -> Path:
        """`ENJOLIVER_AGENT_APPLIED_CONFIG`, or the same place as on Flatcar."""
        return Path(
            self._config.text("AGENT_APPLIED_CONFIG", str(self._config.root / "oem/config.ign"))
        )

    def is_own_layout(self, disk: Disk, found: Probe) -> bool:
        """The mark and no partition, or partitions of the lab's labels only."""
        if disk.volumes:
            return False
        if not disk.parts:
            return found.head.startswith(MARK)
        return bool(self._labels) and {label for label, _ in disk.parts} <= self._labels

    def read_owner(self, disk: Disk, found: Probe) -> str:
        """The UUID behind the mark."""
        if not found.head.startswith(MARK):
            return ""
        return found.head[len(MARK) :].split(b"\n")[0][:36].decode("ascii", "replace")

    def install(self, device: Path, config: Path, uuid: str) -> None:
        """Run the installer."""
        self._run(
            "AGENT_INSTALL_COMMAND",
            self._config.install_seconds,
            ENJOLIVER_INSTALL_DISK=str(device),
            ENJOLIVER_INSTALL_IGNITION=str(config),
            ENJOLIVER_UUID=uuid,
        )

    def stage(self, config: Path) -> None:
        """Run the command that prepares the next start."""
        seconds = self._config.apply_seconds
        self._run("AGENT_STAGE_COMMAND", seconds, ENJOLIVER_STAGE_IGNITION=str(config))

    def restart(self, strategy: str) -> None:
        """Run the command that restarts the machine."""
        seconds = self._config.apply_seconds
        self._run("AGENT_RESTART_COMMAND", seconds, ENJOLIVER_RESTART=strategy)

    def _run(self, setting: str, seconds: float, **environment: str) -> None:
        command = shlex.split(self._config.text(setting))
        if not command:
            raise PlatformFailed(f"ENJOLIVER_{setting} is not set")
        result = run(command, seconds=seconds, environment=environment)
        if not result.is_good:
            raise PlatformFailed(f"{command[0]}: {result.sentence()}")
