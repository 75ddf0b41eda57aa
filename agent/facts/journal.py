"""What Ignition logged in this boot."""

from __future__ import annotations

from agent.facts.sources import Sources

MAX_LINES = 2000
MAX_LINE = 4096
_COMMAND = ["journalctl", "-b", "-t", "ignition", "-o", "cat", "--no-pager"]


def parse(text: str) -> list[str]:
    """Its lines, the newest MAX_LINES of them."""
    lines = [line.rstrip()[:MAX_LINE] for line in text.splitlines()]
    return [line for line in lines if line and line != "-- No entries --"][-MAX_LINES:]


def read(sources: Sources) -> list[str]:
    """The lines of this boot; none where there is no journal."""
    return parse(sources.program("ignition.journal", _COMMAND))
