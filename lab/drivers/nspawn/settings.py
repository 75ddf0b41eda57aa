"""What a machine's supervisor has to know, in one file: the driver writes it, nobody else does."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from lab.programs import Background

_FILE = "machine.json"


@dataclass(frozen=True, slots=True)
class Settings:
    """One container machine.

    `cache`: unpacked images, shared by all labs; `downloads`: what the firmware of this lab's
    machines fetched; `boot_order`: what the firmware tries, in this order.
    """

    name: str
    lab: str
    uuid: str
    mac: str
    serial: str
    memory_mib: int
    cpus: int
    namespace: str
    cache: str
    downloads: str
    ignition: str
    boot_order: tuple[str, ...] = ("network", "disk")


@dataclass(frozen=True, slots=True)
class MachineFolder:
    """The folder of one machine: what lies where in it."""

    root: Path

    @property
    def settings(self) -> Path:
        """Its settings; there when the machine is defined."""
        return self.root / _FILE

    @property
    def hardware(self) -> Path:
        """Firmware and disks as files; the machine sees it as /lab/hardware."""
        return self.root / "lab" / "hardware"

    @property
    def disks(self) -> Path:
        """What would be on the disks as file systems, a folder for each; /lab/disks."""
        return self.root / "lab" / "disks"

    @property
    def lab(self) -> Path:
        """What the machine sees as /lab."""
        return self.root / "lab"

    @property
    def agent(self) -> Path:
        """The settings of the agent that hold in a container; /lab/agent.env."""
        return self.root / "lab" / "agent.env"

    @property
    def console(self) -> Path:
        """All that it wrote on its console, and what its firmware says."""
        return self.root / "console.log"

    @property
    def mounts(self) -> Path:
        """Mount points; what is mounted there, only the supervisor and the machine see."""
        return self.root / "mounts"

    @property
    def supervisor(self) -> Path:
        """Pid and start time of the process that is this machine's power."""
        return self.root / "supervisor.json"

    @property
    def phases(self) -> Path:
        """A line for each phase it was in: Unix time, phase, what it does or why."""
        return self.root / "phases.log"

    def write_settings(self, settings: Settings) -> None:
        """Keep them, whole or not at all."""
        new = self.settings.with_suffix(".new")
        new.write_text(json.dumps(asdict(settings), indent=2, sort_keys=True) + "\n")
        new.replace(self.settings)

    def read_settings(self) -> Settings:
        """The settings as they were written."""
        document = json.loads(self.settings.read_text())
        return Settings(**{**document, "boot_order": tuple(document["boot_order"])})

    def write_supervisor(self, process: Background) -> None:
        """Remember the supervisor that was started."""
        self.supervisor.write_text(json.dumps(process.as_json()))

    def read_supervisor(self) -> Background | None:
        """The supervisor while it is alive."""
        try:
            process = Background(**json.loads(self.supervisor.read_text()))
        except (OSError, ValueError, TypeError):
            return None
        return process if process.is_alive else None

    def write_phase(self, phase: str, detail: str = "") -> None:
        """Say how far the machine is, from now on."""
        with self.phases.open("a") as file:
            file.write(f"{time.time():.3f} {phase} {' '.join(detail.split())}".rstrip() + "\n")

    def read_phases(self) -> list[tuple[float, str, str]]:
        """All phases so far: since when, which, what it does or why."""
        try:
            lines = self.phases.read_text().splitlines()
        except OSError:
            return []
        found = []
        for line in lines:
            at, _, rest = line.partition(" ")
            phase, _, detail = rest.partition(" ")
            found.append((float(at), phase, detail))
        return found
