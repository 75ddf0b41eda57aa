"""`manage.py maintenance on|off|list`: machines that somebody works on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser

from lifecycle.machinedocs import maintenance_document
from lifecycle.models import Maintenance
from lifecycle.services import end_maintenance, start_maintenance
from lifecycle.shell import VerbCommand, actor, moment
from machines.lookup import find_named_machine


class Command(VerbCommand):
    """A machine in maintenance gets no leave, no role, raises no alert, and keeps its slot."""

    help = "Put a machine into maintenance, take it out, or list those that are in it."

    def add_arguments(self, parser: CommandParser) -> None:
        """The three verbs; a machine goes by MAC, UUID, serial number or name."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        on = verbs.add_parser("on", help="somebody works on it from now")
        on.add_argument("--reason", required=True, help="why; shown wherever it matters")
        on.add_argument("--until", type=moment, help="it ends by itself: a time, or 90m, 2h, 3d")
        on.add_argument("--force", action="store_true", help="also when the quorum is at stake")
        off = verbs.add_parser("off", help="the work is done")
        listing = verbs.add_parser("list", help="who is in maintenance")
        for verb in (on, off):
            verb.add_argument("machine", metavar="MACHINE", help="MAC, UUID, serial or name")
        for verb in (on, off, listing):
            verb.add_argument("--json", action="store_true", help="as JSON")

    def _on(self, options: Mapping[str, Any]) -> Any:
        row = start_maintenance(
            machine=find_named_machine(options["machine"]),
            actor=actor(),
            reason=options["reason"],
            until_at=options["until"],
            is_forced=options["force"],
        )
        return [maintenance_document(row)]

    def _off(self, options: Mapping[str, Any]) -> Any:
        machine = find_named_machine(options["machine"])
        return {"mac": machine.boot_mac, "ended": end_maintenance(machine=machine, actor=actor())}

    def _list(self, options: Mapping[str, Any]) -> Any:
        return [maintenance_document(row) for row in Maintenance.objects.select_related("machine")]

    def describe(self, document: Any, options: Mapping[str, Any]) -> list[str]:
        """A line for each machine."""
        if options["verb"] == "off":
            said = "its maintenance ended" if document["ended"] else "it was not in maintenance"
            return [f"{document['mac']}: {said}"]
        return [
            f"{one['mac']} since {one['started_at']} by {one['started_by']}: {one['reason']}"
            + (f" (until {one['until']})" if one["until"] else "")
            for one in document
        ] or ["no machine is in maintenance"]
