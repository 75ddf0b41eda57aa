"""`manage.py lab`: real machines on one computer. All of it is in the package `lab`."""

from __future__ import annotations

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from lab import cli
from lab.arguments import add_arguments


class Command(BaseCommand):
    """Exit status: 0 good, 1 it failed, 2 wrong use or a wrong topology file, 3 not in time."""

    help = "A lab: machines that really boot, on this computer, in a network of their own."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """The lab's own."""
        add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Run one verb."""
        sys.exit(cli.run(options, state_dir=settings.STATE_DIR))
