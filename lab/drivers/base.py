"""What the lab asks of a driver."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from lab.topology import LabMachine

Say = Callable[[str], None]
"""Tells the person in front what happens, in one plain line."""
Power = Literal["off", "on"]
DiskFault = Literal["foreign-disk", "lose-disk"]


class DriverFailed(Exception):
    """The driver could not do it; the text says what, why, and where to look."""


@dataclass(frozen=True, slots=True)
class Asset:
    """A file that the machines fetch from the engine: its source, and its path below /assets."""

    source: Path
    path: str


@dataclass(frozen=True, slots=True)
class MachineState:
    """How a machine is, seen from outside.

    `phase` is what the driver can see of its way: `off`, `firmware`, `discovery`, `installed`, or
    "" when it cannot tell (a virtual machine says it on its console only).
    """

    is_defined: bool
    power: Power
    phase: str = ""
    detail: str = ""


class Driver(Protocol):
    """One kind of machine. Every method may be repeated; all raise DriverFailed."""

    name: str

    def missing(self) -> list[str]:
        """What this computer lacks for it, a sentence each with the package's name."""

    def prepare(self, say: Say) -> list[Asset]:
        """Build or find the system image; what the engine must serve. Cached by content."""

    def values(self, api_uri: str) -> dict[str, object]:
        """Cluster values that this driver's machines need, such as `boot_kernel`."""

    def define(self, machine: LabMachine) -> None:
        """Make disks, firmware and port of a machine that has none; leaves an existing one."""

    def power_on(self, machine: LabMachine) -> None:
        """Switch it on; nothing when it is on."""

    def power_off(self, machine: LabMachine, *, is_hard: bool = False) -> None:
        """Switch it off: with the system's help, or as by pulling the plug."""

    def reset(self, machine: LabMachine) -> None:
        """Pull the plug and switch it on again."""

    def state(self, machine: LabMachine) -> MachineState:
        """How it is now; never raises for a machine that is not there."""

    def console(self, machine: LabMachine) -> Path:
        """The file with everything that the machine wrote on its console."""

    def enter(self, machine: LabMachine, command: Sequence[str]) -> list[str]:
        """The command line that runs `command` (or a shell, if empty) where the machine's
        network is; SSH to the machine's address is the usual one."""

    def set_link(self, machine: LabMachine, *, is_up: bool) -> None:
        """Plug the machine's network cable in or out."""

    def remove(self, machine: LabMachine) -> None:
        """Remove the machine and everything that `define` made."""


# What a driver may do beyond that. The lab looks for the method, and says so when it is not there.


@runtime_checkable
class BreaksDisks(Protocol):
    """A driver that can do something to the disks of a machine that is off."""

    def break_disks(self, machine: LabMachine, fault: DiskFault) -> str:
        """`foreign-disk`: every disk holds somebody else's data, as a file system does that no
        install of ours made. `lose-disk`: the first disk is gone, in its place is an empty one.
        Gives one line that begins with the machine's name and says what was done."""


@runtime_checkable
class TellsJournal(Protocol):
    """A driver that can read a machine's journal without asking the machine."""

    def journal(self, machine: LabMachine, lines: int) -> list[str]:
        """The last lines of the journal of the system that runs or ran; empty when unknown."""


@runtime_checkable
class TidiesUp(Protocol):
    """A driver that made something for the lab as a whole: a daemon, a group, a folder."""

    def tidy(self) -> None:
        """Remove it; called by `down` after the machines were removed, before the network is."""


@runtime_checkable
class BootsAtOnce(Protocol):
    """A driver whose machines boot better one after the other."""

    boots_at_once: int
    """How many may be on their way from power-on to their first message at the same time."""
