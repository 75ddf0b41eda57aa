"""The operator's pages over the facts. Reported things are read-only; labels are the operator's."""

from machines.admin.base import ReadOnlyInline, ReportedAdmin
from machines.admin.locations import (
    ImportedLocationAdmin,
    MachineLocationAdmin,
    MachineLocationInline,
)
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

MachineAdmin.inlines = [MachineLocationInline, *MachineAdmin.inlines]

__all__ = [
    "BootJournalAdmin",
    "ChassisAdmin",
    "EventAdmin",
    "ImportedLocationAdmin",
    "InterfaceAdmin",
    "MachineAdmin",
    "MachineConflictAdmin",
    "MachineLocationAdmin",
    "ReadOnlyInline",
    "ReportedAdmin",
    "StateChangeAdmin",
    "UnknownBootAdmin",
]
