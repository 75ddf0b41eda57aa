"""What the agent asks of a platform."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from agent.facts.disks import Disk
from agent.signatures import Probe


class PlatformFailed(Exception):
    """The platform could not do it; the text says why."""


class Platform(Protocol):
    """One kind of system. Methods raise PlatformFailed."""

    name: str

    @property
    def applied_config(self) -> Path:
        """The file that Ignition provisions this system from."""

    def is_own_layout(self, disk: Disk, found: Probe) -> bool:
        """True when a disk carries an install of this platform and nothing besides."""

    def read_owner(self, disk: Disk, found: Probe) -> str:
        """The UUID of the machine that such an install belongs to; "" when it does not say."""

    def install(self, device: Path, config: Path, uuid: str) -> None:
        """Write the system and its config to a disk."""

    def stage(self, config: Path) -> None:
        """Have Ignition apply another config at the next start; safe to repeat."""

    def restart(self, strategy: str) -> None:
        """Start anew by kexec, reboot or poweroff; the machine goes down soon after."""
