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
from agent.waits import jittered, spread


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
        interval, dice = self.run.config.report_seconds, self.run.dice
        self.run.clock.pause(interval * dice.uniform(0, 0.25))
        while True:
            asked = self.once()
            self.run.clock.pause(max(jittered(interval, dice), spread(asked, dice)))

    def once(self) -> float:
        """One report, and what follows from it; an engine that is away is no error.

        The seconds for which the engine asked to be left alone.
        """
        answered = self.reported.sent, self.reported.failed
        try:
            with self.run.store.locked():
                return self._once()
        except OSError as error:
            self.run.journal.say("failed", f"its state cannot be kept ({error.strerror})")
        if answered == (self.reported.sent, self.reported.failed):
            return self._report_only()
        return 0.0

    def _once(self) -> float:
        updater = self.updater()
        running = running_config(self.run, self.platform, updater.boot_id)
        if running is None:
            self.run.journal.say("waiting", "nothing proves which config it runs")
            return 0.0
        try:
            is_up_to_date = self._report(running)
            updater.settle(running)
        except (NotNow, Unreachable) as error:
            self.reported.failed += 1
            reason, asked = waiting_reason(error)
            self.run.journal.say("reporting", reason)
            return asked
        updater.advance(is_outdated=not is_up_to_date, running=running)
        return 0.0

    def _report_only(self) -> float:
        """What a machine can still say whose disk takes nothing; it changes nothing then."""
        running = running_config(self.run, self.platform, read_boot_id(self.run.sources))
        try:
            if running is not None:
                self._report(running)
        except (NotNow, Unreachable) as error:
            self.reported.failed += 1
            return waiting_reason(error)[1]
        return 0.0

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
            with suppress(OSError):  # it is for `status` only
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
        try:
            with run.store.locked():
                updater = reporter.updater()
                updater.settle(running_config(run, platform, updater.boot_id))
        except OSError as error:
            raise NotNow(f"its state cannot be kept ({error.strerror})") from error

    run.until_done("waiting", settle)
    run.journal.say("ready")
