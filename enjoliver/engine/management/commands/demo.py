"""`manage.py demo`: the engine and five simulated machines, told as a story."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import connections
from rich.console import Console

from enjoliver.engine.processes import (
    CannotStart,
    Engine,
    start_engine,
    stop_signals_interrupt,
)
from lifecycle.services import drop_strategy
from machines.models import Machine
from matchbox_sync.models import Revision
from scheduling.models import Cluster
from scheduling.services import set_values
from scheduling.values import cluster_values
from simulator.disks import DisksInUse
from simulator.display import Display
from simulator.fleet import Fleet
from simulator.operator import Operator
from simulator.run import stop_event
from simulator.scenario import Scenario
from simulator.story import Backstage, Stopped, Story, StoryFailed

MACHINES = 5
INTERVAL_SECONDS = 2.0
SHORT_INTERVALS = {
    "ENJOLIVER_SYNC_INTERVAL_SECONDS": "3",
    "ENJOLIVER_SCHEDULE_INTERVAL_SECONDS": "1",
}
"""For the demo's engine only, and only where the environment says nothing else."""
TIME_SERVERS = (("ntp-a.example.test",), ("ntp-b.example.test",))


class Command(BaseCommand):
    """Stays up after the story; with --exit it ends there. Status 0 only for a good end."""

    help = "Start the engine with five simulated machines and tell what happens."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--exit",
            action="store_true",
            default=os.environ.get("ENJOLIVER_DEMO_EXIT") == "1",
            help="leave after the story (also: ENJOLIVER_DEMO_EXIT=1)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        # The story says what happens; the engine's own processes have their logs.
        logging.getLogger().setLevel(logging.ERROR)
        console = Console(highlight=False)
        display = Display(console, machines=MACHINES, title="simulated machines")
        try:
            self._run(console, display, is_short=options["exit"])
        except CannotStart as error:
            self._fail(" ".join(error.problems))
        except (StoryFailed, DisksInUse, TimeoutError, ChildProcessError) as error:
            self._fail(f"The demo failed: {error} (logs: {settings.STATE_DIR}/logs)")
        except KeyboardInterrupt:
            display.headline("Stopped; the state stays for the next start.")

    def _fail(self, words: str) -> None:
        self.stderr.write(words)
        sys.exit(1)

    def _run(self, console: Console, display: Display, *, is_short: bool) -> None:
        environment = {
            name: value for name, value in SHORT_INTERVALS.items() if name not in os.environ
        }
        with (
            stop_signals_interrupt(),
            start_engine(say=display.tell, environment=environment) as engine,
        ):
            _introduce(engine, display)
            engine.wait_until_answering("/healthz", seconds=300)
            asyncio.run(_show(engine, console, display, is_short=is_short))


def _introduce(engine: Engine, display: Display) -> None:
    kept = engine.operator.password_file
    where = f"its password is in {kept}" if kept else "its password is the one you set"
    display.headline("Enjoliver's engine is starting, with the real matchbox.")
    display.tell(f"console: {engine.url}/ui (operator {engine.operator.name}; {where})")
    display.tell(f"state and logs: {engine.config.state_dir}")


async def _show(engine: Engine, console: Console, display: Display, *, is_short: bool) -> None:
    """Tell the story with the engine that runs; stay up afterwards unless it is a short show."""
    scenario = Scenario(
        url=engine.url,
        machines=MACHINES,
        interval=INTERVAL_SECONDS,
        disks=settings.STATE_DIR / "simulator" / "seed-1.sqlite3",
    )
    with stop_event() as stop:
        async with Fleet(scenario, display.machine_says) as fleet:
            story = Story(
                fleet=fleet,
                display=display,
                operator=_operator(fleet, engine),
                backstage=Backstage(_revision, _change_time_servers, engine.is_running),
                stop=stop,
            )
            try:
                async with display.watching(lambda: dict(fleet.phases())):
                    await story.tell(console)
                    await _leave_to_policies()
                    if not is_short:
                        display.headline(f"The fleet goes on: {engine.url}/ui. Ctrl-C stops all.")
                        await story.stay()
            except Stopped:
                raise KeyboardInterrupt from None


def _operator(fleet: Fleet, engine: Engine) -> Operator:
    kept = engine.operator.password_file
    password = settings.ADMIN_PASSWORD or (kept.read_text().strip() if kept else "")
    return Operator(fleet.world.client, engine.url, engine.operator.name, password)


@sync_to_async
def _revision() -> int:
    with _database():
        newest = Revision.objects.order_by("-number").first()
        return newest.number if newest else 0


@sync_to_async
def _change_time_servers() -> str:
    """Another time server than the present one, as `manage.py values set ntp=…` would do."""
    with _database():
        cluster = Cluster.objects.get(name="default")
        present = tuple(cluster_values(cluster)["ntp"])
        wanted = TIME_SERVERS[present == TIME_SERVERS[0]]
        set_values(cluster=cluster, changes={"ntp": list(wanted)}, actor="demo")
        return f"ntp, from {' '.join(present)} to {' '.join(wanted)}"


@sync_to_async
def _leave_to_policies() -> None:
    """What the story allowed and took back is no block of a policy that is made afterwards."""
    with _database():
        for machine in Machine.objects.filter(strategy__isnull=False):
            drop_strategy(machine=machine, actor="demo")


@contextmanager
def _database() -> Iterator[None]:
    """No connection stays open beside the engine's own processes."""
    try:
        yield
    finally:
        connections.close_all()
