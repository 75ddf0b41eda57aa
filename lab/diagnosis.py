"""Why a machine did not get there: its phase, its last console lines, its journal."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

from lab.drivers.base import DriverFailed, TellsJournal
from lab.errors import LabFailed
from lab.fleetview import journal as engine_journal
from lab.lab import Lab
from lab.programs import run
from lab.sshkey import ssh_command
from lab.topology import LabMachine

_CONSOLE_LINES = 25
_JOURNAL_LINES = 40
_CONSOLE_BYTES = 64 * 1024
_SSH_SECONDS = 20.0
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|.)")
"""Escape sequences of ECMA-48: CSI with its end, operating system commands, two-letter ones."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One machine that is stuck."""

    machine: str
    phase: str
    seconds: float
    console_file: str
    console: list[str]
    journal_from: str
    """Where the journal's lines are from: the driver, SSH, the engine; or why there are none."""
    journal: list[str]

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)

    def lines(self) -> list[str]:
        """For people."""
        return [
            f"{self.machine}: {self.phase}, for {self.seconds:.0f} s",
            f"  console, {self.console_file}:",
            *(f"    | {line}" for line in self.console or ["(nothing)"]),
            f"  journal, {self.journal_from}:",
            *(f"    | {line}" for line in self.journal or ["(nothing)"]),
        ]


def diagnose(lab: Lab, name: str, phase: str, seconds: float) -> Diagnosis:
    """Everything that can be had of a machine now; never raises."""
    machine = lab.machine(name)
    console = lab.driver.console(machine)
    source, journal = _journal(lab, machine)
    return Diagnosis(name, phase, seconds, str(console), last_lines(lab, machine), source, journal)


def last_lines(lab: Lab, machine: LabMachine, lines: int = _CONSOLE_LINES) -> list[str]:
    """The last lines of a machine's console."""
    path = lab.driver.console(machine)
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _CONSOLE_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    return [line for line in map(readable, text.splitlines()) if line.strip()][-lines:]


def readable(line: str) -> str:
    """A console's line without what steers a terminal."""
    plain = _ESCAPE.sub("", line)
    return "".join(character for character in plain if character.isprintable())


def _journal(lab: Lab, machine: LabMachine) -> tuple[str, list[str]]:
    """The first of driver, machine and engine that has one."""
    if isinstance(lab.driver, TellsJournal):
        try:
            if lines := lab.driver.journal(machine, _JOURNAL_LINES):
                return "read by the driver", lines
        except (DriverFailed, LabFailed, OSError):
            pass  # then the next one is asked
    command = ["sudo", "journalctl", "--no-pager", "--boot", "--lines", str(_JOURNAL_LINES)]
    try:
        ssh = ssh_command(lab.paths, machine, command, seconds=5)
        said = run(lab.driver.enter(machine, ssh), seconds=_SSH_SECONDS)
        return "by SSH", said.splitlines()
    except (LabFailed, DriverFailed) as error:
        reason = str(error).splitlines()[-1]
    if lines := engine_journal(lab.engine.url, machine, _JOURNAL_LINES):
        return "Ignition's, as the machine sent it to the engine", lines
    return f"not to be had ({reason})", []
