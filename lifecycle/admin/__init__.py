"""The operator's pages of lifecycle: facts read-only, changes through services."""

from lifecycle.admin import (
    care,
    freezes,
    gate,
    health,
    limits,
    machine,
    policies,
    progress,
    reports,
    rollouts,
    slots,
    strategies,
)

__all__ = [
    "care",
    "freezes",
    "gate",
    "health",
    "limits",
    "machine",
    "policies",
    "progress",
    "reports",
    "rollouts",
    "slots",
    "strategies",
]
