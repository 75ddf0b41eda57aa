"""The words of rollouts: states of a rollout and of a machine in it, strategies, phases. Pure."""

from __future__ import annotations

READY, RUNNING, PAUSED = "ready", "running", "paused"
COMPLETED, ABORTED, SUPERSEDED = "completed", "aborted", "superseded"
ROLLOUT_STATES = (READY, RUNNING, PAUSED, COMPLETED, ABORTED, SUPERSEDED)
ACTIVE_STATES = (READY, RUNNING, PAUSED)
"""A policy has at most one rollout in one of these."""

WAITING, OPEN, UPDATING, DONE, FAILED, SKIPPED = (
    "waiting",
    "open",
    "updating",
    "done",
    "failed",
    "skipped",
)
ROW_STATES = (WAITING, OPEN, UPDATING, DONE, FAILED, SKIPPED)
AWAY_STATES = (OPEN, UPDATING, FAILED)
"""A machine in one of these counts as unavailable while its rollout is active."""
UNFINISHED_STATES = (WAITING, OPEN, UPDATING)

NO_STRATEGY = "none"
STRATEGIES = ("kexec", "reboot", "poweroff", NO_STRATEGY)
POWEROFF = "poweroff"
