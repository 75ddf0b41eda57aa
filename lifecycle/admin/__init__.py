"""The operator's pages of lifecycle: facts read-only, changes through services."""

from lifecycle.admin import gate, machine, progress, reports, slots, strategies

__all__ = ["gate", "machine", "progress", "reports", "slots", "strategies"]
