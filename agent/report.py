"""`report` and `ready`: what the installed system says, and when it gives the slot back."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

from agent.client import Unreachable
from agent.engine import NotNow
from agent.facts.boot import read_boot_id
from agent.ignition import digest
from agent.membership import Membership
from agent.platforms.base import Platform
from agent.run import Run, waiting_reason
from agent.running import running_config
from agent.update import Updater
from agent.waits import jittered


@dataclass(slots=True)
class Reported:
    """What the reports came to, for the metrics. Times are Unix times, 0 is never."""

    at: float = 0.0
    is_up_to_date: bool | None = None
    sent: int = 0
    failed: int = 0


@dataclass(slots=True)
class Reporter:
    """The resident part of the agent."""

    run: Run
    platform: Platform
    reported: Reported = field(default_factory=Reported)

    def forever(self) -> None:
        """Report each interval until Stopped is raised."""
        interval = self.run.config.report_seconds
        self.run.clock.pause(interval * self.run.dice.uniform(0, 0.25))
        while True:
            self.once()
            self.run.clock.pause(jittered(interval, self.run.dice))

    def once(self) -> None:
        """One report, and what follows from it; an engine that is away is no error."""
        with self.run.store.locked():
            updater = self.updater()
            running = running_config(self.run, self.platform, updater.boot_id)
            if running is None:
                self.run.journal.say("waiting", "nothing proves which config it runs")
                return
            try:
                is_up_to_date = self._report(running)
                updater.settle(running)
            except (NotNow, Unreachable) as error:
                self.reported.failed += 1
                self.run.journal.say("reporting", waiting_reason(error)[0])
                return
            updater.advance(is_outdated=not is_up_to_date, running=running)

    def updater(self) -> Updater:
        """The machine's update in this boot."""
        return Updater(self.run, self.platform, read_boot_id(self.run.sources))

    def _report(self, running: bytes) -> bool:
        query, engine = self.run.config.raw_query, self.run.engine
        is_up_to_date, is_full_wanted = engine.report_digest(query, digest(running))
        if is_full_wanted:
            is_up_to_date, _ = engine.report_document(query, running)
        if is_up_to_date != self.reported.is_up_to_date:
            verdict = {"is_up_to_date": is_up_to_date, "at": self.run.clock.now()}
            self.run.store.write("reported", verdict)
        self.reported.at, self.reported.is_up_to_date = self.run.clock.now(), is_up_to_date
        self.reported.sent += 1
        return is_up_to_date


def ready(run: Run, platform: Platform) -> None:
    """Wait until the machine is ready and its slot, if it held one, is given back."""
    reporter = Reporter(run, platform)
    with suppress(OSError):  # `report` says so, and tries again
        Membership.of(run).restore()

    def settle() -> None:
        with run.store.locked():
            updater = reporter.updater()
            updater.settle(running_config(run, platform, updater.boot_id))

    run.until_done("waiting", settle)
    run.journal.say("ready")
