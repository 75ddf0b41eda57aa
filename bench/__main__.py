"""`python -m bench`: run the stages, print a table, write JSON, say whether promises are kept."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from bench.context import Context
from bench.databases import NAMES
from bench.places import CACHE, ROOT, AlreadyRunning, open_workshop
from bench.report import make_console, print_stage, this_machine, write_json
from bench.results import StageResult
from bench.sizes import FULL, QUICK
from bench.stages import agent, memory, reports, rollouts, scheduling, storm, sync

STAGES: dict[str, Callable[[Context], StageResult]] = {
    "scheduling": scheduling.run,
    "sync": sync.run,
    "storm": storm.run,
    "reports": reports.run,
    "rollouts": rollouts.run,
    "memory": memory.run,
    "agent": agent.run,
}
KEPT, BROKEN, NOT_RUN = 0, 1, 2
_BUSY_LOAD = 0.5


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--only", action="append", choices=STAGES, metavar="STAGE", help=f"of {', '.join(STAGES)}"
    )
    parser.add_argument(
        "--database", action="append", choices=NAMES, help="instead of both, for reports and passes"
    )
    parser.add_argument(
        "--quick", action="store_true", help="small fleets; ratios are shown and not judged"
    )
    parser.add_argument("--fresh", action="store_true", help="forget fleets of earlier runs")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where fleets are kept")
    parser.add_argument("--results", type=Path, default=ROOT / "bench-results")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """0: every promise kept; 1: one is not; 2: a stage could not be measured."""
    options = parse_arguments(arguments)
    console = make_console()
    sizes = QUICK if options.quick else FULL
    if options.fresh:
        shutil.rmtree(options.cache, ignore_errors=True)
    machine = this_machine()
    if os.getloadavg()[0] > _BUSY_LOAD * (os.cpu_count() or 1) and not sizes.is_quick:
        console.print("[yellow]This machine is busy: expect wide spreads.[/]")
    try:
        with open_workshop(options.cache) as workshop:
            context = Context(workshop, sizes, tuple(options.database or NAMES))
            results = []
            for name in options.only or STAGES:
                results.append(run_stage(name, context))
                print_stage(console, results[-1], judge_speed=not sizes.is_quick)
    except AlreadyRunning as error:
        console.print(f"[red]{error}[/]")
        return NOT_RUN
    path = write_json(options.results, results, is_quick=sizes.is_quick, machine=machine)
    console.print(f"All numbers: {path}")
    return conclude(console, results, judge_speed=not sizes.is_quick)


def run_stage(name: str, context: Context) -> StageResult:
    """One stage; what goes wrong in it does not keep the others from being measured."""
    started = time.monotonic()
    try:
        result = STAGES[name](context)
    except Exception as error:
        traceback.print_exc()
        result = StageResult(name, error=f"{type(error).__name__}: {error}")
    result.seconds = time.monotonic() - started
    return result


def conclude(console: Console, results: Sequence[StageResult], *, judge_speed: bool) -> int:
    """Say what is broken and return the exit status."""
    broken = {one.stage: one.broken(judge_speed=judge_speed) for one in results}
    for stage, names in broken.items():
        for name in names:
            console.print(f"[bold red]not as promised[/] ({stage}): {escape(name)}")
    if any(one.error for one in results):
        return NOT_RUN
    if any(broken.values()):
        return BROKEN
    console.print("[green]Every promise that was looked at is kept.[/]")
    return KEPT


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
