"""The table and the JSON file."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.results import Figure, StageResult


def make_console() -> Console:
    """Wide enough for the tables also where there is no terminal."""
    console = Console(highlight=False)
    return Console(highlight=False, width=max(110, console.width))


def print_stage(console: Console, result: StageResult, *, judge_speed: bool) -> None:
    """The stage's figures as a table, then its facts."""
    console.print(f"\n[bold]{result.stage}[/] ({result.seconds:.0f} s)")
    if result.error:
        console.print(f"  [bold red]could not be measured[/]: {escape(result.error)}")
    if result.figures:
        console.print(_figure_table(result, judge_speed=judge_speed))
    for fact in result.facts:
        verdict = "[green]true [/]" if fact.holds else "[bold red]FALSE[/]"
        detail = f" [dim]({escape(fact.detail)})[/]" if fact.detail else ""
        console.print(f"  {verdict} {escape(fact.name)}{detail}")


def _figure_table(result: StageResult, *, judge_speed: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("ratio", "min", "median", "max", "promise", "verdict"):
        is_number = name in ("min", "median", "max")
        table.add_column(name, justify="right" if is_number else "left")
    for figure in result.figures:
        raw = ", ".join(f"{key} {shown(value)}" for key, value in figure.raw.items())
        what = f"{figure.name}\n[dim]against: {figure.yardstick}\n{raw}[/]"
        ratio = (figure.ratio.low, figure.ratio.median, figure.ratio.high)
        verdict = _verdict(figure, judge_speed=judge_speed)
        table.add_row(what, *map(shown, ratio), str(figure.bound or ""), verdict)
    return table


def _verdict(figure: Figure, *, judge_speed: bool) -> str:
    if figure.bound is None:
        return ""
    if not judge_speed:
        return "not judged"
    return "[green]kept[/]" if figure.is_kept else "[bold red]BROKEN[/]"


def shown(value: Any) -> str:
    """A number with three significant digits, anything else as it is."""
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value)


def this_machine() -> dict[str, Any]:
    """What the figures were measured on, and how busy it was."""
    return {
        "cpus": os.cpu_count(),
        "processor": _processor(),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "load_average": [round(value, 2) for value in os.getloadavg()],
        "commit": _commit(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return answer.stdout.strip()


def write_json(
    directory: Path, results: Sequence[StageResult], *, is_quick: bool, machine: dict[str, Any]
) -> Path:
    """Write `<time>.json` and return its path."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{time.strftime('%Y-%m-%dT%H-%M-%S')}.json"
    document = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "is_quick": is_quick,
        "machine": machine,
        "stages": [result.as_json() for result in results],
    }
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    return path
