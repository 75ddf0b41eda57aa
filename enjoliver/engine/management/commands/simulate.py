"""`manage.py simulate`: a fleet of simulated machines against a running engine."""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console

from simulator.disks import DisksInUse
from simulator.display import Display
from simulator.faults import MEANING, Fault, parse_fault
from simulator.run import run_watched
from simulator.scenario import Arrival, Scenario, Until

DEADLINE_SECONDS = 300.0


class Command(BaseCommand):
    """Exit status 0 only when every machine reached its expected end and no rule was broken."""

    help = "Run simulated machines against the engine, over HTTP only."
    requires_system_checks = ()

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        epilog = "faults:\n" + "\n".join(f"  {name:20} {text}" for name, text in MEANING.items())
        return super().create_parser(
            prog_name,
            subcommand,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            **kwargs,
        )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--machines", type=_at_least_one, default=5, metavar="N")
        parser.add_argument("--url", default=settings.API_URI, help="default: %(default)s")
        parser.add_argument("--interval", type=_seconds, default=2.0, help="report interval, s")
        parser.add_argument("--until", type=Until, choices=list(Until), default=Until.UP_TO_DATE)
        parser.add_argument("--deadline", type=_seconds, help="seconds; 300, or none for forever")
        parser.add_argument(
            "--arrival", type=Arrival, choices=list(Arrival), default=Arrival.ALL_AT_ONCE
        )
        parser.add_argument("--fault", type=_fault, action="append", default=[], metavar="NAME[=N]")
        parser.add_argument(
            "--control-plane", type=_at_least_one, metavar="N", help="size to expect"
        )
        parser.add_argument("--seed", type=int, default=1, help="same seed: same machines")
        parser.add_argument("--connections", type=_at_least_one, default=64, help="at once")
        parser.add_argument("--disks", type=Path, help="where disks are kept; default: state dir")
        parser.add_argument("--new-disks", action="store_true", help="start with empty disks")
        parser.add_argument("--json", action="store_true", help="the summary as JSON on stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        scenario = make_scenario(options)
        console = Console(stderr=options["json"])
        display = Display(console, machines=scenario.machines, title=scenario.url)
        try:
            result = asyncio.run(run_watched(scenario, display))
        except DisksInUse as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps(result.as_json(), indent=2))
        display.summary(result)
        sys.exit(0 if result.is_good else 1)


def make_scenario(options: dict[str, Any]) -> Scenario:
    """The scenario of parsed options."""
    disks = options["disks"] or settings.STATE_DIR / "simulator" / f"seed-{options['seed']}.sqlite3"
    faults = dict(options["fault"])
    if sum(faults.values()) > options["machines"]:
        raise CommandError(
            f"{sum(faults.values())} faults asked for --machines {options['machines']}"
        )
    is_endless = options["until"] is Until.FOREVER
    return Scenario(
        url=options["url"],
        machines=options["machines"],
        seed=options["seed"],
        interval=options["interval"],
        until=options["until"],
        deadline=options["deadline"] or (math.inf if is_endless else DEADLINE_SECONDS),
        faults=faults,
        arrival=options["arrival"],
        control_plane=options["control_plane"],
        disks=None if options["new_disks"] else disks,
        connections=options["connections"],
    )


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("expected a number from 1 on")
    return number


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError("expected seconds, more than 0")
    return seconds


def _fault(text: str) -> tuple[Fault, int]:
    try:
        return parse_fault(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
