"""The story of the demo: from nothing to up to date, a changed value, drift, updates in turn."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from simulator.client import Refused, Unreachable
from simulator.display import Display
from simulator.fleet import Fleet
from simulator.machine import INSTALLED_PHASES, Machine
from simulator.operator import Operator
from simulator.scenario import Until

STRATEGIES = ("kexec", "reboot", "poweroff")


class StoryFailed(Exception):
    """The story did not come to its end; the text says where and why."""


class Stopped(Exception):
    """Somebody asked for the end."""


@dataclass(frozen=True, slots=True)
class Backstage:
    """What the story needs besides HTTP; each may be asked from the event loop."""

    revision: Callable[[], Awaitable[int]]
    """Number of the newest revision."""
    change_value: Callable[[], Awaitable[str]]
    """Change one cluster value; says which, from what to what."""
    is_engine_alive: Callable[[], bool]


@dataclass(slots=True)
class Turn:
    """One machine's update, for the summary."""

    machine: Machine
    strategy: str
    granted_at: float
    finished_at: float | None = None


@dataclass(slots=True)
class Story:
    """One telling. `patience` is the longest wait for one step, in seconds."""

    fleet: Fleet
    display: Display
    operator: Operator
    backstage: Backstage
    stop: asyncio.Event
    patience: float = 180.0
    turns: dict[str, Turn] = field(default_factory=dict)

    async def tell(self, console: Console) -> None:
        """The whole story; raises StoryFailed or Stopped."""
        started = time.monotonic()
        await self._come_up()
        first_seconds = time.monotonic() - started
        before = await self.backstage.revision()
        drift_seconds = await self._change_something()
        await self._update_all()
        after = await self.backstage.revision()
        if after <= before:
            raise StoryFailed(f"the revision did not move: {before} before, {after} after")
        self._summary(console, before, after, (first_seconds, drift_seconds))

    async def _come_up(self) -> None:
        """From whatever state to up to date; what an earlier run left is finished first."""
        count = len(self.fleet.machines)
        self.display.headline(
            f"{count} machines are switched on: network boot, discovery, role, verified config, "
            "install gate, report."
        )
        await self._wait(self._all_have_reported, "all machines installed and reporting")
        if not self._is_all_up_to_date():
            self.display.headline("An earlier run left machines outdated: they update first.")
            await self._update_all()
        await self._wait(self._is_all_up_to_date, "all machines up to date")
        self.display.headline(f"All {count} machines run what they should.")

    async def _change_something(self) -> float:
        """Change a value and watch every machine notice; the seconds it took."""
        started = time.monotonic()
        what = await self.backstage.change_value()
        self.display.headline(f"An operator changes one value: {what}")
        self.display.tell("a new revision is composed, rendered, verified and published…")
        await self._wait(self._is_all_outdated, "every machine finding itself outdated (210)")
        self.display.headline(
            "Drift: every machine reports, and is told 210 Outdated. None acts on its own."
        )
        return time.monotonic() - started

    async def _update_all(self) -> None:
        """Grant a strategy to one machine after the other; the one slot keeps them apart."""
        self.turns = {}
        for number, machine in enumerate(self._outdated()):
            await self._grant(machine, STRATEGIES[number % len(STRATEGIES)])
            # The next grant comes while this one is busy, so that the slot is seen at work.
            await self._wait(lambda: self._some_turns_ended(), "a machine taking the slot")
        await self._wait(self._is_all_up_to_date, "all machines up to date again")
        for machine in self.fleet.machines:
            await self._ask(self.operator.withdraw(machine), "withdrawing a permission")

    async def _grant(self, machine: Machine, strategy: str) -> None:
        self.display.headline(f"The operator lets {machine.name} update by {strategy}.")
        self.turns[machine.name] = Turn(machine, strategy, time.monotonic())
        await self._ask(self.operator.grant(machine, strategy), f"granting {strategy}")

    def _some_turns_ended(self) -> bool:
        """True when at most one granted machine is not done yet."""
        now = time.monotonic()
        for turn in self.turns.values():
            if turn.finished_at is None and turn.machine.is_up_to_date:
                turn.finished_at = now
        return sum(turn.finished_at is None for turn in self.turns.values()) <= 1

    async def _ask(self, request: Awaitable[None], what: str) -> None:
        try:
            await request
        except (Refused, Unreachable) as error:
            raise StoryFailed(f"{what}: {error}") from error

    async def stay(self) -> None:
        """Go on until somebody asks for the end: raises Stopped, or StoryFailed."""
        await self._wait(lambda: False, "Ctrl-C", seconds=math.inf)

    async def _wait(
        self, is_so: Callable[[], bool], what: str, seconds: float | None = None
    ) -> None:
        audit = self.fleet.world.audit

        def is_over() -> bool:
            self._some_turns_ended()
            return (
                self.stop.is_set()
                or bool(audit.count)
                or not self.backstage.is_engine_alive()
                or is_so()
            )

        in_time = await self.fleet.wait_until(is_over, seconds or self.patience)
        if self.stop.is_set():
            raise Stopped
        if audit.count:
            raise StoryFailed(f"a rule was broken: {audit.violations[0]}")
        if not self.backstage.is_engine_alive():
            raise StoryFailed(f"the engine ended while waiting for {what}")
        if not in_time:
            raise StoryFailed(f"waited {self.patience:.0f} s for {what}: {self._where_they_are()}")

    def _where_they_are(self) -> str:
        return "; ".join(f"{one.name} {one.phase}, {one.last_words}" for one in self.fleet.machines)

    def _all_have_reported(self) -> bool:
        return all(
            one.phase in INSTALLED_PHASES and one.is_up_to_date is not None
            for one in self.fleet.machines
        )

    def _is_all_up_to_date(self) -> bool:
        return not self.fleet.unfinished(Until.UP_TO_DATE)

    def _is_all_outdated(self) -> bool:
        return all(one.is_up_to_date is False for one in self.fleet.machines)

    def _outdated(self) -> Sequence[Machine]:
        """Workers first, control plane last, as for every change that is no new version."""
        outdated = [one for one in self.fleet.machines if not one.is_up_to_date]
        return sorted(outdated, key=lambda one: len(one.roles))

    def _summary(
        self, console: Console, before: int, after: int, seconds: tuple[float, float]
    ) -> None:
        audit = self.fleet.world.audit
        self.display.headline("All up to date again.")
        table = Table("machine", "role", "updated by", "revision", "seconds from grant to done")
        for turn in self.turns.values():
            spent = (turn.finished_at or time.monotonic()) - turn.granted_at
            role = "node" if "kubernetes-node" in turn.machine.roles else "control plane"
            revisions = f"{before} → {after}"
            table.add_row(turn.machine.name, role, turn.strategy, revisions, f"{spent:.1f}")
        console.print(table)
        self.display.note(f"switched on to up to date: {seconds[0]:.1f} s")
        self.display.note(f"changed value to every machine told: {seconds[1]:.1f} s")
        self.display.note(
            f"slot: taken {audit.turns_taken} times, at most {audit.most_down_at_once} machine "
            "down at once"
        )
