"""The operator's pages of lifecycle: facts read-only, changes through services."""

from lifecycle.admin import care, gate, limits, machine, progress, reports, slots, strategies

__all__ = ["care", "gate", "limits", "machine", "progress", "reports", "slots", "strategies"]
