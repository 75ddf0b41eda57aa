"""`manage.py retire MACHINE`: take a machine out of service, or take it back."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from enjoliver.common.errors import EngineError
from lifecycle.services import retire_machine
from lifecycle.shell import actor
from machines.lookup import find_named_machine
from scheduling.services import readmit_machine


class Command(BaseCommand):
    """A retired machine has no role and gets none; what is on its disk is not booted again."""

    help = "Take a machine out of service for good; a control-plane member is replaced instead."

    def add_arguments(self, parser: CommandParser) -> None:
        """A machine goes by MAC, UUID, serial number or name."""
        parser.add_argument("machine", metavar="MACHINE", help="MAC, UUID, serial or name")
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--reason", help="why; kept with who asked")
        what.add_argument("--undo", action="store_true", help="let the scheduler have it again")

    def handle(self, *args: Any, **options: Any) -> None:
        """A refusal is a CommandError with the reason."""
        try:
            machine = find_named_machine(options["machine"])
            if options["undo"]:
                done = readmit_machine(machine=machine, actor=actor())
                said = "is the scheduler's again" if done else "was neither retired nor released"
            else:
                done = retire_machine(machine=machine, actor=actor(), reason=options["reason"])
                said = "is retired" if done else "was retired already"
        except EngineError as error:
            raise CommandError(error.value) from error
        self.stdout.write(f"{machine} {said}")
