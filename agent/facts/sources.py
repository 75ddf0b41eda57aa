"""Where facts come from: programs and kernel files, or files that stand in for them.

A file `facts/<name>` below the hardware folder answers in place of the program: so a machine that
is a container has firmware and disks of its own, and the host's are never looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.commands import run
from agent.files import read_text

_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Sources:
    """Files below `root` (the system) and `hardware` (firmware, disks), and programs."""

    root: Path = Path("/")
    hardware: Path = Path("/")

    @property
    def is_own_hardware(self) -> bool:
        """False when firmware and disks are files that somebody laid out."""
        return self.hardware == Path("/")

    def system_file(self, name: str) -> str:
        """The text of a file of this system; "" when there is none."""
        return read_text(self.root / name)

    def hardware_file(self, name: str) -> str:
        """The text of a file about the hardware; "" when there is none."""
        return read_text(self.hardware / name)

    def stand_in(self, name: str) -> str:
        """The text of the file that stands in for a source; "" on a machine of its own."""
        return "" if self.is_own_hardware else read_text(self.hardware / "facts" / name)

    def program(self, name: str, command: Sequence[str], *, is_hardware: bool = False) -> str:
        """What `command` says, or `facts/<name>`; "" when it fails or is not there.

        `is_hardware`: the program asks firmware or disks, so it must not run when these are files.
        """
        if not self.is_own_hardware and (self.hardware / "facts" / name).exists():
            return self.stand_in(name)
        if is_hardware and not self.is_own_hardware:
            return ""
        result = run(command, seconds=_SECONDS, environment={"LC_ALL": "C.UTF-8"})
        return result.output if result.is_good else ""
