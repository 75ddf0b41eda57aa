"""`manage.py states_docs`: write the table of states into docs/machine-lifecycle.md."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from enjoliver.conf import BASE_DIR
from machines.states_page import with_table

PAGE = BASE_DIR / "docs" / "machine-lifecycle.md"


class Command(BaseCommand):
    """Generate the table, or only say whether it is out of date."""

    help = "Write the table of machine states into docs/machine-lifecycle.md."

    def add_arguments(self, parser: CommandParser) -> None:
        """`--check` writes nothing."""
        parser.add_argument("--check", action="store_true", help="fail when it is out of date")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the page; with `--check` raise CommandError when that would change it."""
        present = PAGE.read_text()
        wanted = with_table(present)
        if options["check"] and wanted != present:
            raise CommandError(f"{PAGE.name} is out of date: run `manage.py states_docs`")
        if not options["check"]:
            PAGE.write_text(wanted)
