"""The names of the machine's addresses, as claimed by its name servers."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable

from agent.facts.sources import Sources

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
MAX_NAMES = 8
# Names that say nothing: every machine has them.
_COMMON = {"localhost", "localhost.localdomain", "enjoliver-discovery", "localhost.local"}


def parse(names: Iterable[str]) -> list[str]:
    """Names that are host names, lower-case, without repetition; those with a domain first."""
    found: dict[str, None] = {}
    for name in names:
        bare = name.strip().removesuffix(".").lower()
        good = len(bare) <= 253 and all(_LABEL.fullmatch(label) for label in bare.split("."))
        if bare and good and bare not in _COMMON:
            found.setdefault(bare)
    return sorted(found, key=lambda name: "." not in name)[:MAX_NAMES]


def read(sources: Sources, address: str) -> list[str]:
    """The names of `address`: by look-up, or the file that stands in for it."""
    if not sources.is_own_hardware:
        return parse(sources.stand_in("names").split())
    try:
        name, aliases, _ = socket.gethostbyaddr(address)
    except OSError:
        return []
    return parse([name, *aliases])
