"""Who the control plane is, on the installed system: fetched, kept, written for others to read.

The last good copy is kept in the state directory and survives updates; from it comes a file below
`/run`, also while the engine is away. No answer that is empty, broken or another machine's
replaces it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from agent.client import Unreachable
from agent.config import BadSetting
from agent.engine import NotNow
from agent.facts.boot import read_boot_id
from agent.files import read_bytes, write_atomically
from agent.hooks import HookFailed, run_hooks
from agent.ignition import digest
from agent.metadata import (
    COUNT,
    MEMBERSHIP_KEYS,
    BadMembership,
    as_environment,
    read_membership,
)
from agent.run import Run, waiting_reason
from agent.status import Journal
from agent.waits import Stopped, jittered

FILE = "membership.env"
HOOKS = "membership.d"
_MEMORY, _HOOKED = "membership", "membership-hooks"


@dataclass(slots=True)
class Membership:
    """The membership as this machine knows it."""

    run: Run
    journal: Journal
    etag: str = ""

    @classmethod
    def of(cls, run: Run) -> Membership:
        """With a journal of its own beside the verb's."""
        tell = run.teller.tell
        return cls(run, Journal(run.store, "membership", run.clock.now, tell))

    @property
    def file(self) -> Path:
        """Where others read it."""
        return self.run.config.run_dir / FILE

    def restore(self) -> bytes | None:
        """Write the kept copy where others read it, if there is one; the file's bytes.

        Raises OSError.
        """
        kept = self._kept()
        if not kept:
            return None
        text = as_environment(kept)
        if read_bytes(self.file) != text:
            write_atomically(self.file, text, mode=0o644)
        return text

    def publish(self) -> None:
        """Write the file, and run the hooks when it says something else, or once in each boot.

        Raises OSError, HookFailed and BadSetting.
        """
        text = self.restore()
        if text is None:
            return
        done = {"sha512": digest(text), "boot_id": read_boot_id(self.run.sources)}
        if self.run.store.read(_HOOKED) == done:
            return
        config = self.run.config
        environment = {"ENJOLIVER_MEMBERSHIP_FILE": str(self.file)}
        folder, seconds = config.hooks_dir / HOOKS, config.hook_seconds
        run_hooks(folder, seconds=seconds, environment=environment)
        self.run.store.write(_HOOKED, done)

    def refresh(self) -> bool:
        """Fetch, keep, write; False when something of that is left to do, with the reason said."""
        problems = [word for word in (self._try_fetch(), self._try_publish()) if word]
        if problems:
            self.journal.say(*problems[0])
        else:
            self.journal.say("current", f"the control plane has {self._kept().get(COUNT)} machines")
        return not problems

    def _try_fetch(self) -> tuple[str, str] | None:
        """Keep what the engine says now; what goes wrong, as step and reason."""
        config = self.run.config
        try:
            known = self.etag if self._kept() else ""
            text, etag = self.run.engine.fetch_metadata(config.raw_query, known)
            if text is not None:
                found = read_membership(text, uuid=config.uuid, mac=config.boot_mac)
                if found != self._kept():
                    self.run.store.write(_MEMORY, found)
            self.etag = etag
        except BadMembership as error:
            return "refused", str(error)
        except (NotNow, Unreachable) as error:
            return "waiting", waiting_reason(error)[0]
        except OSError as error:
            return "failed", str(error)
        return None

    def _try_publish(self) -> tuple[str, str] | None:
        try:
            self.publish()
        except (HookFailed, OSError, BadSetting) as error:
            return "failed", str(error)
        return None

    def _kept(self) -> dict[str, str]:
        """The last good copy; empty when there is none, or when it is not whole."""
        kept = self.run.store.read(_MEMORY)
        texts = {key: text for key, text in kept.items() if isinstance(text, str)}
        return texts if texts.keys() == MEMBERSHIP_KEYS else {}

    def forever(self) -> None:
        """Refresh at each interval, sooner after a failure, until Stopped is raised."""
        interval, backoff = self.run.config.membership_seconds, self.run.backoff()
        self._say_if_unpublished()
        while True:
            if self.refresh():
                backoff.restart()
                self.run.clock.pause(jittered(interval, self.run.dice))
            else:
                self.run.clock.pause(min(backoff.next_pause(), interval))

    def _say_if_unpublished(self) -> None:
        """The kept copy first: the engine may not answer for hours."""
        problem = self._try_publish()
        if problem:
            self.journal.say(*problem)


@contextmanager
def membership_kept(run: Run) -> Iterator[None]:
    """For the time of the block a thread keeps the membership; raises BadSetting."""
    membership, _ = Membership.of(run), run.config.membership_seconds

    def keep() -> None:
        with suppress(Stopped):
            membership.forever()

    keeper = threading.Thread(target=keep, name="membership", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        keeper.join(timeout=0.2)  # it ends with the run's clock; a hook may take longer
