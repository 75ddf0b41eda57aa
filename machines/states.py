"""The states of a machine and the moves between them.

The names are those of the 2018 project, whose clients read them; `running` is new. A state says
what the engine last saw a machine do. It is not intent and it is not `installed_at`.
"""

from __future__ import annotations

from django.db import models


class State(models.TextChoices):
    """What the engine last saw the machine do."""

    BOOTING = "booting", "booting"
    """It asked for its iPXE script."""
    DISCOVERY = "discovery", "discovered"
    """It reported its facts from the discovery system."""
    INSTALL_DENIED = "os_installation_denied", "waiting for the install gate"
    """It asked to install and another machine holds the gate."""
    INSTALL_GRANTED = "os_installation_granted", "installing"
    """It holds the install gate."""
    INSTALL_FAILED = "installation_failed", "install failed"
    """Its install report said fail."""
    INSTALL_SUCCEEDED = "installation_succeed", "installed"
    """Its install report said success and counted."""
    RUNNING = "running", "running"
    """The installed system reported its configuration."""


_ANY = frozenset(State)

TRANSITIONS: dict[State, frozenset[State]] = {
    # Power can go at any moment, so every state may fall back to the first two.
    State.BOOTING: _ANY,
    State.DISCOVERY: _ANY - {State.RUNNING} | {State.RUNNING},
    State.INSTALL_DENIED: frozenset(
        {
            State.BOOTING,
            State.DISCOVERY,
            State.INSTALL_GRANTED,
            State.INSTALL_FAILED,
            State.INSTALL_SUCCEEDED,
            State.RUNNING,
        }
    ),
    State.INSTALL_GRANTED: frozenset(
        {
            State.BOOTING,
            State.DISCOVERY,
            State.INSTALL_DENIED,
            State.INSTALL_FAILED,
            State.INSTALL_SUCCEEDED,
            State.RUNNING,
        }
    ),
    State.INSTALL_FAILED: _ANY,
    State.INSTALL_SUCCEEDED: frozenset(
        {
            State.BOOTING,
            State.DISCOVERY,
            State.RUNNING,
            State.INSTALL_FAILED,
            State.INSTALL_GRANTED,
            State.INSTALL_DENIED,
        }
    ),
    State.RUNNING: frozenset(
        {State.BOOTING, State.DISCOVERY, State.INSTALL_GRANTED, State.INSTALL_DENIED}
    ),
}
"""Allowed moves. A move to the same state is always allowed and writes no history row."""
