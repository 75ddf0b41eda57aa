"""The operator's pages over the facts. Reported things are read-only; labels are the operator's."""

from machines.admin.base import ReadOnlyInline, ReportedAdmin
from machines.admin.machine import MachineAdmin
from machines.admin.others import (
    BootJournalAdmin,
    ChassisAdmin,
    EventAdmin,
    InterfaceAdmin,
    MachineConflictAdmin,
    StateChangeAdmin,
    UnknownBootAdmin,
)

__all__ = [
    "BootJournalAdmin",
    "ChassisAdmin",
    "EventAdmin",
    "InterfaceAdmin",
    "MachineAdmin",
    "MachineConflictAdmin",
    "ReadOnlyInline",
    "ReportedAdmin",
    "StateChangeAdmin",
    "UnknownBootAdmin",
]
