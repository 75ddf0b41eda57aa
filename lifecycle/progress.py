"""What an agent says of itself: read, made fit for the timeline. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from enjoliver.common.errors import InvalidInput
from machines.text import one_line

VERBS = ("discover", "install", "report", "ready", "membership")
MAX_BODY_BYTES = 8 * 1024
LONGEST_SINCE = timedelta(days=90)
"""A machine whose clock is further off than this tells nothing about since when it waits."""
BAD_STEPS = frozenset({"failed", "gives up", "refused"})
"""The agent's own words for what an operator should look at."""

_LIMITS = {"verb": 16, "step": 60, "reason": 300, "boot_id": 64, "version": 40}
_NEEDED = ("verb", "step")
_DETAIL = re.compile(r"[(:;\[\"'\d]")


@dataclass(frozen=True, slots=True)
class Said:
    """One word of an agent; `since` is by the machine's own clock, None when it does not say."""

    verb: str
    step: str
    reason: str = ""
    since: datetime | None = None
    boot_id: str = ""
    version: str = ""

    @property
    def kind(self) -> str:
        """Step and reason without details: only a change of this is news for the timeline."""
        return f"{self.step}: {reason_kind(self.reason)}"

    @property
    def sentence(self) -> str:
        """For people."""
        return f"{self.verb}: {self.step}" + (f": {self.reason}" if self.reason else "")


def reason_kind(reason: str) -> str:
    """A reason up to its details: the first bracket, colon, quotation or digit.

    "it waits at the install gate (403 Locked by …)" says the same at each place in the queue.
    """
    return _DETAIL.split(reason, maxsplit=1)[0].strip()


def read_said(document: Any) -> Said:
    """Read the JSON value that an agent sent; raises InvalidInput that names the fields.

    Texts that are too long are cut, control characters become blanks, unknown keys are passed over.
    """
    if not isinstance(document, Mapping):
        raise _invalid({"": "an object is expected"})
    problems = {name: "a text is expected" for name in _LIMITS if not _is_text(document, name)}
    problems |= {
        name: "required" for name in _NEEDED if name not in problems and not document.get(name)
    }
    if not problems and document["verb"] not in VERBS:
        problems["verb"] = f"one of {', '.join(VERBS)}"
    try:
        since = _read_time(document.get("since"))
    except ValueError:
        problems["since"] = "a time with its zone is expected (RFC 3339)"
    if problems:
        raise _invalid(problems)
    texts = {name: one_line(document.get(name, ""), limit) for name, limit in _LIMITS.items()}
    return Said(**texts, since=since)


def _is_text(document: Mapping[str, Any], name: str) -> bool:
    return isinstance(document.get(name, ""), str)


def _read_time(value: Any) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > 40:
        raise ValueError("no time")
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError("no zone")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:  # the ends of the calendar
        raise ValueError("out of range") from error


def _invalid(fields: dict[str, str]) -> InvalidInput:
    return InvalidInput(
        "this is no word of an agent: an object with verb and step",
        kind="invalid_progress",
        fields=fields,
    )


def plausible_since(since: datetime | None, now: datetime) -> datetime:
    """Since when, by the engine's clock: what the machine says, unless its clock must be wrong."""
    if since is None or not now - LONGEST_SINCE <= since <= now:
        return now
    return since
