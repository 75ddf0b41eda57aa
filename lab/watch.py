"""Watches machines on their way until all of them are up to date, or one is stuck."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from lab.drivers.base import Say
from lab.lab import Lab
from lab.phases import FAILED, UP_TO_DATE, Sight

_EVERY_SECONDS = 1.0
_SILENCE_SECONDS = 60.0
_FAILED_SECONDS = 120.0
_ENGINE_SECONDS = 60.0


@dataclass(slots=True)
class Way:
    """One machine's way so far."""

    phase: str = ""
    entered: float = 0.0
    """When the phase began, by the monotonic clock."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the watch ended. `reason` is empty for a good end."""

    reason: str
    phases: dict[str, str]
    seconds: dict[str, float] = field(default_factory=dict)
    """How long each machine was in its last phase."""

    @property
    def stuck(self) -> list[str]:
        """The machines that are not up to date."""
        return [name for name, phase in self.phases.items() if phase != UP_TO_DATE]


class Watch:
    """Says each change of a machine's phase in a line, with the seconds since the beginning."""

    def __init__(self, lab: Lab, say: Say) -> None:
        self._lab = lab
        self._say = say
        self._begun = time.monotonic()
        self._ways = {machine.name: Way() for machine in lab.topology.machines}
        self._said_at = self._begun
        self._engine_seen_at = self._begun

    def look(self, since: Mapping[str, datetime]) -> dict[str, Sight]:
        """Look once and say what changed; the sights."""
        sights = self._lab.sights()
        now = time.monotonic()
        if any(sight.engine is not None for sight in sights.values()):
            self._engine_seen_at = now
        for name, sight in sights.items():
            phase, way = sight.phase(since.get(name)), self._ways[name]
            if phase != way.phase:
                way.phase, way.entered, self._said_at = phase, now, now
                self._say(f"{self._seconds():4.0f} s  {name}: {phase}")
        return sights

    def now(self, since: Mapping[str, datetime]) -> Outcome:
        """Look once; however far they are, it is a good end."""
        self.look(since)
        return self._outcome("")

    def until_up_to_date(self, since: Mapping[str, datetime], deadline: float) -> Outcome:
        """Look until all are up to date, one is stuck for good, or `deadline` seconds are over.

        The deadline counts from here: how long images take to build is another question.
        """
        begun = self._engine_seen_at = time.monotonic()
        while True:
            self.look(since)
            if all(way.phase == UP_TO_DATE for way in self._ways.values()):
                return self._outcome("")
            reason = self._hopeless()
            if reason or time.monotonic() - begun > deadline:
                return self._outcome(reason or f"not done after {deadline:.0f} s")
            self._say_that_it_goes_on()
            time.sleep(_EVERY_SECONDS)

    def _hopeless(self) -> str:
        now = time.monotonic()
        for name, way in self._ways.items():
            if way.phase == FAILED and now - way.entered > _FAILED_SECONDS:
                return f"{name}: its install failed, and it does not try again"
        if now - self._engine_seen_at > _ENGINE_SECONDS:
            return f"the engine has not answered for {_ENGINE_SECONDS:.0f} s"
        return ""

    def _say_that_it_goes_on(self) -> None:
        now = time.monotonic()
        if now - self._said_at > _SILENCE_SECONDS:
            self._said_at = now
            waiting = [
                f"{name} {way.phase}" for name, way in self._ways.items() if way.phase != UP_TO_DATE
            ]
            self._say(f"{self._seconds():4.0f} s  still: {', '.join(waiting)}")

    def _seconds(self) -> float:
        return time.monotonic() - self._begun

    def _outcome(self, reason: str) -> Outcome:
        now = time.monotonic()
        return Outcome(
            reason,
            {name: way.phase for name, way in self._ways.items()},
            {name: round(now - way.entered, 1) for name, way in self._ways.items()},
        )
