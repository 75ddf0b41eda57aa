"""The only writers of machines' rows."""

from machines.services.boots import record_boot
from machines.services.conflicts import (
    close_conflicts,
    open_conflict,
    recheck_conflicts,
    record_query_mismatch,
)
from machines.services.history import (
    add_mute,
    prune_history,
    record_event,
    record_events,
    remove_mute,
)
from machines.services.locations import (
    ImportedCount,
    derive_locations,
    forget_locations,
    import_locations,
)
from machines.services.moves import transition_machine
from machines.services.operations import (
    add_reinstall_objection,
    forget_machine,
    mark_installed,
    remove_reinstall_objection,
    request_reinstall,
    set_labels,
)
from machines.services.recording import RecordedDiscovery, record_discovery

__all__ = [
    "ImportedCount",
    "RecordedDiscovery",
    "add_mute",
    "add_reinstall_objection",
    "close_conflicts",
    "derive_locations",
    "forget_locations",
    "forget_machine",
    "import_locations",
    "mark_installed",
    "open_conflict",
    "prune_history",
    "recheck_conflicts",
    "record_boot",
    "record_discovery",
    "record_event",
    "record_events",
    "record_query_mismatch",
    "remove_mute",
    "remove_reinstall_objection",
    "request_reinstall",
    "set_labels",
    "transition_machine",
]
