"""The operator's pages of lifecycle: facts read-only, changes through services."""

from lifecycle.admin import gate, machine, reports, slots, strategies

__all__ = ["gate", "machine", "reports", "slots", "strategies"]
