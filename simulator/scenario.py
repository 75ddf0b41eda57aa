"""What a run is: how many machines, against which engine, until what, with which faults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from simulator.faults import Fault


class Until(StrEnum):
    """Where a run ends."""

    INSTALLED = "installed"
    UP_TO_DATE = "up-to-date"
    FOREVER = "forever"


class Arrival(StrEnum):
    """How the machines are switched on."""

    ALL_AT_ONCE = "all-at-once"
    ONE_BY_ONE = "one-by-one"


@dataclass(frozen=True, slots=True)
class Timing:
    """How long things take, in seconds; everything follows from the report interval."""

    interval: float

    @property
    def poll(self) -> float:
        """Pause between two questions of a machine that waits for its role."""
        return self.interval * 0.5

    @property
    def longest_pause(self) -> float:
        """Where back-off and `Retry-After` end."""
        return self.interval * 5

    @property
    def firmware(self) -> float:
        """Power-on to the first request."""
        return self.interval * 0.15

    @property
    def install(self) -> float:
        """Writing the disk."""
        return self.interval * 0.75

    @property
    def drain(self) -> float:
        """Moving the work away."""
        return self.interval * 0.4

    @property
    def boot(self) -> float:
        """From the kernel to the ready checks."""
        return self.interval * 0.4

    @property
    def off(self) -> float:
        """How long a machine that was told to power off stays so."""
        return self.interval * 0.75

    @property
    def request(self) -> float:
        """How long an answer may take."""
        return max(30.0, self.interval * 5)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One run. `control_plane` is the number of control-plane machines to expect, if known.

    `disks` is where the machines' disks are kept between runs; without it they are new each time.
    """

    url: str
    machines: int = 5
    seed: int = 1
    interval: float = 2.0
    until: Until = Until.UP_TO_DATE
    deadline: float = 300.0
    faults: Mapping[Fault, int] = field(default_factory=dict)
    arrival: Arrival = Arrival.ALL_AT_ONCE
    control_plane: int | None = None
    disks: Path | None = None
    connections: int = 64

    @property
    def timing(self) -> Timing:
        """The durations of this run."""
        return Timing(self.interval)
