"""What every verb works with: settings, sources, state, engine, clock and its journal."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from agent.client import Client, Unreachable
from agent.config import Config
from agent.engine import Engine, NotNow
from agent.facts.sources import Sources
from agent.progress import Teller, make_send
from agent.state import StateStore
from agent.status import Journal
from agent.waits import Backoff, Clock

_Done = TypeVar("_Done")
_TELL_SECONDS = 10.0
"""The deadline of a request that only tells what the agent waits for."""


@dataclass(slots=True)
class Run:
    """One run of one verb."""

    config: Config
    sources: Sources
    store: StateStore
    engine: Engine
    journal: Journal
    teller: Teller
    clock: Clock = field(default_factory=Clock)
    dice: random.Random = field(default_factory=random.Random)

    def backoff(self) -> Backoff:
        """Pauses from the first to the longest of the settings."""
        longest = self.config.longest_pause_seconds
        return Backoff(min(self.config.poll_seconds, longest), longest, self.dice)

    def until_done(self, step: str, work: Callable[[], _Done]) -> _Done:
        """Do `work` until it raises neither NotNow nor Unreachable, however long that takes.

        Nobody knows when a role or a place at the gate comes; what bounds the wait is the process:
        Stopped is raised when the agent is told to end.
        """
        backoff = self.backoff()
        while True:
            try:
                return work()
            except (NotNow, Unreachable) as error:
                reason, at_least = waiting_reason(error)
                self.journal.say(step, reason)
                self.clock.pause(backoff.next_pause(at_least))


def make_run(config: Config, verb: str) -> Run:
    """A run on this machine."""
    clock, store = Clock(), StateStore(config.state_dir)
    store.tidy(clock.now())
    sources = Sources(config.root, config.hardware)
    to_tell = Engine(Client(min(config.http_seconds, _TELL_SECONDS)), config.api)
    teller = Teller(make_send(config, sources, to_tell.send_progress), config.progress_seconds)
    return Run(
        config=config,
        sources=sources,
        store=store,
        engine=Engine(Client(config.http_seconds), config.api),
        journal=Journal(store, verb, clock.now, teller.tell),
        teller=teller,
        clock=clock,
    )


def waiting_reason(error: NotNow | Unreachable) -> tuple[str, float]:
    """Why to wait, and the least number of seconds."""
    if isinstance(error, NotNow):
        return str(error), error.retry_after
    return f"the engine cannot be reached ({error})", 0.0
