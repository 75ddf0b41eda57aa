"""What the agent is doing and what it waits for: one small file per process, read by `status`."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

from agent import VERSION
from agent.config import BadSetting, Config
from agent.progress import Word
from agent.state import StateStore

logger = logging.getLogger("enjoliver-agent")

VERBS = ("discover", "install", "report", "ready", "membership")


class Journal:
    """Says aloud what one verb does, keeps its last word for `status`, and tells the engine."""

    def __init__(
        self,
        store: StateStore,
        verb: str,
        now: Callable[[], float],
        tell: Callable[[Word], None] = lambda word: None,
    ) -> None:
        self._store, self._verb, self._now, self._tell = store, verb, now, tell
        self._last: tuple[str, str] = ("", "")

    def say(self, step: str, reason: str = "") -> None:
        """The verb is at `step`; `reason`: what it waits for, "" when it works. Once per change."""
        if (step, reason) == self._last:
            return
        self._last = (step, reason)
        logger.info("%s: %s%s", self._verb, step, f": {reason}" if reason else "")
        now = self._now()
        self._tell(Word(self._verb, step, reason, now))
        known = {"step": step, "reason": reason, "since": now, "pid": os.getpid()}
        try:
            self._store.write(f"status-{self._verb}", known)
        except OSError as error:  # a full disk must not keep a machine from its work
            logger.warning("its status cannot be kept: %s", error)


def read_status(config: Config) -> dict[str, Any]:
    """Everything that is known, without asking anybody; works without configuration."""
    store = StateStore(config.state_dir)
    missing = config.missing()
    return {
        "version": VERSION,
        "system": "discovery" if config.is_discovery_system else "installed",
        "healthy": not missing and not _problems(config),
        "missing": missing,
        "problems": _problems(config),
        "engine": config.api,
        "query": config.raw_query,
        "roles": list(config.roles),
        "state_dir": str(config.state_dir),
        "verbs": {verb: store.read(f"status-{verb}") for verb in VERBS},
        "running": store.read("running"),
        "reported": store.read("reported"),
        "update": store.read("update"),
        "install": store.read("install"),
        "membership": store.read("membership"),
    }


def _problems(config: Config) -> list[str]:
    """Settings that cannot be used."""
    found = []
    for name in (
        "hook_seconds",
        "membership_seconds",
        "progress_seconds",
        "report_seconds",
        "poll_seconds",
        "lldp_seconds",
        "longest_pause_seconds",
        "http_seconds",
        "install_seconds",
        "apply_seconds",
    ):
        try:
            getattr(config, name)
        except BadSetting as error:
            found.append(str(error))
    return found


def as_words(status: dict[str, Any]) -> str:
    """The status for people: a few lines."""
    lines = [
        f"enjoliver-agent {status['version']}, {status['system']} system",
        "healthy" if status["healthy"] else "not healthy",
        *(f"missing: {words}" for words in status["missing"]),
        *(f"wrong: {words}" for words in status["problems"]),
    ]
    for verb, known in status["verbs"].items():
        if known:
            reason = f": {known.get('reason')}" if known.get("reason") else ""
            lines.append(f"{verb}: {known.get('step')}{reason}")
    return "\n".join(lines)
