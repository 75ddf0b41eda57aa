"""The states of a machine and the moves between them.

The names are those of the 2018 project, whose clients read them; `running` is new. A state says
what the engine last saw a machine do. It is not intent and it is not `installed_at`.
"""

from __future__ import annotations

from django.db import models


class State(models.TextChoices):
    """What the engine last saw the machine do; `MEANINGS` says it in a sentence."""

    BOOTING = "booting", "booting"
    DISCOVERY = "discovery", "discovered"
    INSTALL_DENIED = "os_installation_denied", "waiting for the install gate"
    INSTALL_GRANTED = "os_installation_granted", "installing"
    INSTALL_FAILED = "installation_failed", "install failed"
    INSTALL_SUCCEEDED = "installation_succeed", "installed"
    RUNNING = "running", "running"


MEANINGS: dict[State, str] = {
    State.BOOTING: "It asked for its iPXE script.",
    State.DISCOVERY: "It reported its facts from the discovery system.",
    State.INSTALL_DENIED: "It asked to install while other machines held the install gate.",
    State.INSTALL_GRANTED: "It holds the install gate.",
    State.INSTALL_FAILED: "Its install report said fail, and counted.",
    State.INSTALL_SUCCEEDED: "Its install report said success, and counted.",
    State.RUNNING: "The installed system reported its configuration.",
}

_EVERY = frozenset(State)
# Power can go at any moment, so every state may fall back to these two.
_STARTS_AGAIN = frozenset({State.BOOTING, State.DISCOVERY})
_GATE = frozenset({State.INSTALL_DENIED, State.INSTALL_GRANTED})

TRANSITIONS: dict[State, frozenset[State]] = {
    # A message may be lost or overtaken (a report arrives after the boot that followed it, an
    # engine comes back from a backup), so what a machine does next is believed in any order…
    State.BOOTING: _EVERY,
    State.DISCOVERY: _EVERY,
    State.INSTALL_DENIED: _EVERY,
    State.INSTALL_GRANTED: _EVERY,
    State.INSTALL_FAILED: _EVERY,
    State.INSTALL_SUCCEEDED: _EVERY,
    # …but a late install report says nothing new about a system that already runs.
    State.RUNNING: _STARTS_AGAIN | _GATE | {State.RUNNING},
}
"""Allowed moves. A move to the same state is always allowed and writes no history row."""


def can_move(start: State, end: State) -> bool:
    """True when the table allows the move from `start` to `end`."""
    return end in TRANSITIONS[start]
