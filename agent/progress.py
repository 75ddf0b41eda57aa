"""Telling the engine what the agent does and waits for: from a thread, and only when it is news.

The work never waits for it. While the engine is away the newest word is kept and sent later.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from agent import VERSION
from agent.client import Unreachable
from agent.config import Config, installed_query
from agent.engine import NotNow
from agent.facts.boot import read_boot_id
from agent.facts.document import NoIdentity, read_identity
from agent.facts.sources import Sources
from agent.waits import Backoff

logger = logging.getLogger("enjoliver-agent")
MAX_REASON = 300
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0
"""Seconds between tries while the engine does not hear."""
LAST_SECONDS = 2.0
"""How long the end of the process may wait for the last word."""
_DETAIL = re.compile(r"[(:;\[\"'\d]")


@dataclass(frozen=True, slots=True)
class Word:
    """What one verb does or waits for; `since`: Unix time of its first word of this kind."""

    verb: str
    step: str
    reason: str
    since: float

    @property
    def kind(self) -> tuple[str, str]:
        """Step and reason up to its details, as the engine reads them: a change of it is news."""
        return self.step, _DETAIL.split(self.reason, maxsplit=1)[0].strip()


Send = Callable[[Word], None]
"""Sends one word; raises Unreachable or NotNow."""


@dataclass(slots=True)
class Teller:
    """Keeps the newest word of each verb and sends it: when it is news, and each `repeat` seconds.

    Without `start` it only keeps them.
    """

    send: Send
    repeat: float
    _backoff: Backoff = field(default_factory=lambda: Backoff(FIRST_PAUSE, LONGEST_PAUSE))
    _newest: dict[str, Word] = field(default_factory=dict)
    _heard: dict[str, tuple[Word, float]] = field(default_factory=dict)
    _not_before: float = 0.0
    _has_news: bool = False
    _is_over: bool = False
    _news: threading.Condition = field(default_factory=threading.Condition)
    _thread: threading.Thread | None = None

    def tell(self, word: Word) -> None:
        """Keep a word for the engine; returns at once."""
        with self._news:
            before = self._newest.get(word.verb)
            if before is not None and before.kind == word.kind:
                word = replace(word, since=before.since)
            else:  # who has news tries at once: what kept the engine away may be over
                self._not_before, self._has_news = 0.0, True
                self._news.notify()
            self._newest[word.verb] = word

    def start(self) -> None:
        """Begin to send."""
        self._thread = threading.Thread(target=self._work, name="teller", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Send what is left, unless that takes long, and end."""
        with self._news:
            self._is_over = True
            self._news.notify()
        if self._thread is not None:
            self._thread.join(LAST_SECONDS)

    def _work(self) -> None:
        while (word := self._next()) is not None:
            self._say(word)

    def _next(self) -> Word | None:
        """Wait for the next word to send; None when it is over."""
        with self._news:
            while True:
                word = min(self._newest.values(), key=self._due_at, default=None)
                left = None if word is None else self._due_at(word) - time.monotonic()
                if word is not None and left is not None and left <= 0:
                    self._has_news = False
                    return word
                if self._is_over:
                    return None
                self._news.wait(left)

    def _due_at(self, word: Word) -> float:
        """When this word is to be sent, on the monotonic clock."""
        heard, at = self._heard.get(word.verb, (None, 0.0))
        if heard is not None and heard.kind == word.kind:
            return max(self._not_before, at + self.repeat)
        return self._not_before

    def _say(self, word: Word) -> None:
        try:
            self.send(word)
        except NoIdentity as error:
            logger.debug("the engine is not told: %s", error)
        except (NotNow, Unreachable, OSError) as error:
            logger.debug("the engine was not told: %s", error)
            if not (isinstance(error, NotNow) and 400 <= error.status < 500):
                with self._news:
                    pause = self._backoff.next_pause()
                    # News that came while this failed go at once.
                    self._not_before = 0.0 if self._has_news else time.monotonic() + pause
                return
        with self._news:
            self._backoff.restart()
            self._heard[word.verb] = (word, time.monotonic())


def make_send(
    config: Config, sources: Sources, post: Callable[[str, dict[str, str]], None]
) -> Send:
    """How a word is sent: `post` takes the machine's query and the document."""
    known: list[tuple[str, str]] = []

    def send(word: Word) -> None:
        if not known:
            known.append(_who(config, sources))
        query, boot_id = known[0]
        post(query, as_document(word, boot_id))

    return send


def _who(config: Config, sources: Sources) -> tuple[str, str]:
    """The machine's query and boot id; raises NoIdentity."""
    if config.raw_query and not config.is_discovery_system:
        return config.raw_query, read_boot_id(sources)
    who = read_identity(sources)
    return installed_query(who.uuid, who.mac), who.boot_id


def as_document(word: Word, boot_id: str) -> dict[str, str]:
    """The body of `POST /lifecycle/progress/<query>`."""
    return {
        "verb": word.verb,
        "step": word.step,
        "reason": word.reason[:MAX_REASON],
        "since": datetime.fromtimestamp(word.since, UTC).isoformat(timespec="seconds"),
        "boot_id": boot_id,
        "version": VERSION,
    }
