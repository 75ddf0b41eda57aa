"""The agent on a machine: what its resident process holds, and how long it takes to start."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.agents import Answers, answering, make_machine
from bench.context import Context
from bench.places import ROOT
from bench.processes import JobFailed, family_of, stop
from bench.progress import say
from bench.results import Fact, Figure, Spread, StageResult, at_most, divide
from tools.build_agent import DIST, NAME, PROGRAM, build

STARTS, QUICK_STARTS = 15, 3
REPORTS, QUICK_REPORTS = 400, 20
WARM = 10
"""After so many reports every part of the agent was used once."""
GROWTH = 1.1
MOST_MEMORY, MOST_START = 4.0, 20.0
_SECONDS = 600.0
_MIB = 1 << 20
_EMPTY = "an empty Python"
_IDLE = "import time; print(flush=True); time.sleep(3600)"


@dataclass(frozen=True, slots=True)
class Held:
    """Bytes of a program's processes together: resident, by share (PSS), and its own (USS)."""

    resident: int
    shared: int
    own: int
    processes: int


def run(context: Context) -> StageResult:
    """Measure the built program and the sources, in turns with a Python that does nothing."""
    result = StageResult("agent")
    commands = {"program": [str(built_program())], "sources": [sys.executable, "-m", "agent"]}
    _starts(result, commands, QUICK_STARTS if context.sizes.is_quick else STARTS)
    reports = QUICK_REPORTS if context.sizes.is_quick else REPORTS
    empty = _held_by_empty_python()
    for name, command in commands.items():
        folder = context.workshop.new(f"agent-{name}").state_dir
        make_machine(folder)
        early, late = _held_after(command, folder, reports)
        _memory_figures(result, name, empty, late)
        growth = late.resident / early.resident
        result.figures.append(
            Figure(
                f"resident memory after {reports} reports, {name}",
                f"the same process after {WARM}",
                Spread.of([growth]),
                at_most(GROWTH),
            )
        )
        say(f"memory of the {name} measured")
    return result


def built_program() -> Path:
    """The program of `make agent`, built when it is missing or older than its sources."""
    program = DIST / NAME / PROGRAM
    newest = max(path.stat().st_mtime for path in (ROOT / "agent").rglob("*.py"))
    if not program.exists() or program.stat().st_mtime < newest:
        say("the agent is built")
        build()
    return program


# --- start-up ------------------------------------------------------------------------------------
def _starts(result: StageResult, commands: Mapping[str, Sequence[str]], rounds: int) -> None:
    """`--version`, which loads every module of the agent, against `python3 -c pass`."""
    asked = {name: [*command, "--version"] for name, command in commands.items()}
    asked["empty"] = [sys.executable, "-c", "pass"]
    seconds: dict[str, list[float]] = {name: [] for name in asked}
    cpu: dict[str, list[float]] = {name: [] for name in asked}
    for number in range(rounds + 1):
        for name, command in asked.items():
            wall, used = _run_once(command)
            if number:  # the first one warms the page cache
                seconds[name].append(wall)
                cpu[name].append(used)
    for name in commands:
        result.figures.append(
            Figure(
                f"start of the agent, {name}, CPU",
                f"{_EMPTY} (-c pass)",
                divide(cpu[name], cpu["empty"]),
                at_most(MOST_START),
                {
                    "CPU ms": Spread.of(cpu[name]).median * 1000,
                    "ms": Spread.of(seconds[name]).median * 1000,
                    "yardstick CPU ms": Spread.of(cpu["empty"]).median * 1000,
                },
            )
        )
    result.raw["starts s"], result.raw["starts CPU s"] = seconds, cpu
    say("starts measured")


def _run_once(command: Sequence[str]) -> tuple[float, float]:
    """Wall and CPU seconds of one run; raises JobFailed."""
    started = time.perf_counter()
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, env=_environment())
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise JobFailed(f"{command!r} ended with status {child.returncode}")
    return time.perf_counter() - started, used.ru_utime + used.ru_stime


def _environment() -> dict[str, str]:
    """Ours without the settings of an engine or agent."""
    return {name: text for name, text in os.environ.items() if not name.startswith("ENJOLIVER_")}


# --- memory --------------------------------------------------------------------------------------
def _held_by_empty_python() -> Held:
    with subprocess.Popen([sys.executable, "-c", _IDLE], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        try:
            return held_by(psutil.Process(child.pid))
        finally:
            stop(child)


def _held_after(command: Sequence[str], folder: Path, reports: int) -> tuple[Held, Held]:
    """What the resident agent holds after a few reports and after many."""
    with answering() as engine, _resident(command, folder, engine.url) as process:
        return _after(engine, WARM, process), _after(engine, reports, process)


def _after(engine: Answers, reports: int, process: psutil.Process) -> Held:
    if not engine.wait_for(reports, _SECONDS):
        raise JobFailed(f"{engine.reports} of {reports} reports within {_SECONDS:.0f} s")
    return held_by(process)


@contextmanager
def _resident(command: Sequence[str], folder: Path, url: str) -> Iterator[psutil.Process]:
    settings = {
        "ENJOLIVER_AGENT_ROOT": str(folder),
        "ENJOLIVER_AGENT_PLATFORM": "lab",
        "ENJOLIVER_AGENT_STATUS_BIND": "127.0.0.1:0",
        "ENJOLIVER_API_URI": url,
        "ENJOLIVER_REPORT_SECONDS": "0.05",
    }
    with (folder / "agent.log").open("ab") as log:
        child = subprocess.Popen(
            [*command, "report"],
            cwd=ROOT,
            env=_environment() | settings,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield psutil.Process(child.pid)
    finally:
        stop(child)


def held_by(process: psutil.Process) -> Held:
    """The memory of a process and of all below it."""
    family = [one.memory_full_info() for one in family_of(process)]
    return Held(
        resident=sum(one.rss for one in family),
        shared=sum(one.pss for one in family),
        own=sum(one.uss for one in family),
        processes=len(family),
    )


def _memory_figures(result: StageResult, name: str, empty: Held, held: Held) -> None:
    raw = {
        "processes": held.processes,
        "resident MiB": held.resident / _MIB,
        "PSS MiB": held.shared / _MIB,
        "own MiB": held.own / _MIB,
        "yardstick MiB": empty.resident / _MIB,
        "yardstick own MiB": empty.own / _MIB,
    }
    # What an empty Python owns depends on how many others run here; it is resident with 8 MiB.
    for kind, size in {"resident": held.resident, "own": held.own}.items():
        figure = f"{kind} memory of the resident agent, {name}"
        ratio, yardstick = Spread.of([size / empty.resident]), f"resident memory of {_EMPTY}"
        result.figures.append(Figure(figure, yardstick, ratio, at_most(MOST_MEMORY), raw))
    one = f"the resident agent is one process, {name}"
    result.facts.append(Fact(one, held.processes == 1, f"{held.processes}"))
