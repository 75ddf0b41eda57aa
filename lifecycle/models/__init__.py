"""Change: rows are written by `lifecycle.services` only."""

from lifecycle.models.gates import HealthGate, HealthGateKind, HealthGateState, HealthState
from lifecycle.models.installs import (
    InstallAttempt,
    InstallGate,
    InstallLimit,
    InstallOutcome,
    InstallReport,
    InstallWaiter,
    LimitScope,
)
from lifecycle.models.maintenance import Maintenance
from lifecycle.models.policies import (
    ChangeClock,
    DomainLevel,
    Freeze,
    PolicyMember,
    PolicyStrategy,
    RollingPolicy,
    RolloutOrder,
    StartMode,
)
from lifecycle.models.progress import AgentProgress, AgentVerb
from lifecycle.models.replacement import Replacement, ReplacementState, ReplacementStep
from lifecycle.models.reports import IgnitionReport
from lifecycle.models.rollouts import Rollout, RolloutMachine, RolloutState, RowState
from lifecycle.models.slots import LockGroup, MachineStrategy, Slot, SlotPhase, StrategyName

__all__ = [
    "AgentProgress",
    "AgentVerb",
    "ChangeClock",
    "DomainLevel",
    "Freeze",
    "HealthGate",
    "HealthGateKind",
    "HealthGateState",
    "HealthState",
    "IgnitionReport",
    "InstallAttempt",
    "InstallGate",
    "InstallLimit",
    "InstallOutcome",
    "InstallReport",
    "InstallWaiter",
    "LimitScope",
    "LockGroup",
    "MachineStrategy",
    "Maintenance",
    "PolicyMember",
    "PolicyStrategy",
    "Replacement",
    "ReplacementState",
    "ReplacementStep",
    "RollingPolicy",
    "Rollout",
    "RolloutMachine",
    "RolloutOrder",
    "RolloutState",
    "RowState",
    "Slot",
    "SlotPhase",
    "StartMode",
    "StrategyName",
]
