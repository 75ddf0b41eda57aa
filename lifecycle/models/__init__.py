"""Change: rows are written by `lifecycle.services` only."""

from lifecycle.models.installs import (
    InstallAttempt,
    InstallGate,
    InstallOutcome,
    InstallReport,
    InstallWaiter,
)
from lifecycle.models.maintenance import Maintenance
from lifecycle.models.progress import AgentProgress, AgentVerb
from lifecycle.models.reports import IgnitionReport
from lifecycle.models.slots import LockGroup, MachineStrategy, Slot, StrategyName

__all__ = [
    "AgentProgress",
    "AgentVerb",
    "IgnitionReport",
    "InstallAttempt",
    "InstallGate",
    "InstallOutcome",
    "InstallReport",
    "InstallWaiter",
    "LockGroup",
    "MachineStrategy",
    "Maintenance",
    "Slot",
    "StrategyName",
]
