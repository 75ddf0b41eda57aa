"""What machines reported, and where they stand: rows are written by `machines.services` only."""

from machines.models.facts import (
    BootJournal,
    Chassis,
    ChassisPort,
    ConflictKind,
    Disk,
    Event,
    EventLevel,
    Interface,
    Machine,
    MachineConflict,
    StateChange,
    UnknownBoot,
)
from machines.models.locations import ImportedLocation, MachineLocation

__all__ = [
    "BootJournal",
    "Chassis",
    "ChassisPort",
    "ConflictKind",
    "Disk",
    "Event",
    "EventLevel",
    "ImportedLocation",
    "Interface",
    "Machine",
    "MachineConflict",
    "MachineLocation",
    "StateChange",
    "UnknownBoot",
]
