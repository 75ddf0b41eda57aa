"""`manage.py location import|show|export`: where machines stand, from a shell or from Git."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from enjoliver.common.errors import EngineError
from enjoliver.common.words import counted
from machines.locationfiles import COLUMNS, format_csv, parse_csv
from machines.locations import locations_of
from machines.lookup import find_named_machine
from machines.models import ImportedLocation, Machine
from machines.services import import_locations
from machines.topology import UNKNOWN


class Command(BaseCommand):
    """One sub-command a verb; a list is taken whole or not at all."""

    help = "Import, show or export where machines stand (site, row, rack, chassis)."

    def add_arguments(self, parser: CommandParser) -> None:
        """The three sub-commands."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        take = verbs.add_parser("import", help="take a CSV file")
        columns = ",".join(COLUMNS)
        take.add_argument("file", metavar="FILE", help=f"columns {columns}; - is standard input")
        take.add_argument("--replace", action="store_true", help="drop former lines it lacks")
        show = verbs.add_parser("show", help="where machines stand, from all that tells it")
        show.add_argument("machines", nargs="*", metavar="MACHINE", help="default: all")
        export = verbs.add_parser("export", help="what was imported, as CSV")
        for verb in (take, show, export):
            verb.add_argument("--json", action="store_true", help="as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run one verb; a refusal is a CommandError with the reason."""
        try:
            getattr(self, f"_{options['verb']}")(options)
        except EngineError as error:
            raise CommandError(error.value) from error

    def _import(self, options: Mapping[str, Any]) -> None:
        result = import_locations(
            places=parse_csv(_read(options["file"])),
            actor=f"{getpass.getuser()} (command line)",
            is_whole=options["replace"],
        )
        if options["json"]:
            self.stdout.write(json.dumps(asdict(result)))
            return
        self.stdout.write(
            f"{result.added} new, {result.changed} changed, {result.removed} removed; "
            f"{counted(result.moved, 'machine')} moved"
        )
        if result.unknown:
            some = ", ".join(result.unknown[:10])
            self.stdout.write(
                f"{counted(len(result.unknown), 'line names', 'lines name')} no machine yet: {some}"
            )

    def _show(self, options: Mapping[str, Any]) -> None:
        named = [find_named_machine(text) for text in options["machines"]]
        rows = [(one.pk, one.boot_mac) for one in named] or list(
            Machine.objects.order_by("boot_mac").values_list("pk", "boot_mac")
        )
        found = locations_of([pk for pk, _ in rows])
        self._write({mac: found.get(pk, UNKNOWN) for pk, mac in rows}, options)

    def _export(self, options: Mapping[str, Any]) -> None:
        rows = {row.key: row.location for row in ImportedLocation.objects.all()}
        self._write(rows, options)

    def _write(self, places: Mapping[str, Any], options: Mapping[str, Any]) -> None:
        if options["json"]:
            rows = [{"machine": key, **asdict(place)} for key, place in places.items()]
            self.stdout.write(json.dumps(rows, indent=2, ensure_ascii=False))
        else:
            self.stdout.write(format_csv(places), ending="")


def _read(name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise CommandError(f"{name}: {error}") from error
