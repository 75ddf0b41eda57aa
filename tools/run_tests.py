"""`python -m tools.run_tests [sqlite] [postgres] [-- PYTEST ARGUMENTS]`: the tests, in stages.

Stage `sqlite`: everything. Stage `postgres`: all that touches the database or starts the engine,
again, on a private PostgreSQL and Redis. Both when none is named.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import FrameType

from tools.steps import ROOT, StepFailed, say
from tools.testservices import private_services

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_SUMMARY = re.compile(r"^(?:=+ )?(?:\d+ \w+|no tests ran)\b.* in [0-9.]+s\b")  # =: not with -q
STAGES = ("sqlite", "postgres")
# The caller's own engine must not leak into the tests.
_NOT_INHERITED = ("DATABASE_URL", "PROMETHEUS_MULTIPROC_DIR")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one stage ended; `summary` is pytest's own last line."""

    stage: str
    status: int
    seconds: float
    summary: str


def run_stage(stage: str, arguments: list[str]) -> Outcome:
    """Run one stage to its end, its output as it comes. Raises StepFailed without servers."""
    started = time.monotonic()
    say(f"== Tests on {stage}")
    if stage == "postgres":
        with private_services() as services:
            status, summary = _pytest(["-p", "tools.only_database", *arguments], services)
    else:
        status, summary = _pytest(["-m", "not postgres", *arguments], {})
    return Outcome(stage, status, time.monotonic() - started, summary)


def _pytest(arguments: list[str], environment: Mapping[str, str]) -> tuple[int, str]:
    """Exit status and summary line of one pytest run."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("ENJOLIVER_") and name not in _NOT_INHERITED
    }
    colour = ["--color=yes"] if sys.stdout.isatty() else []
    command = [sys.executable, "-m", "pytest", *colour, *arguments]
    summary = ""
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**kept, **environment},
        stdout=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as tests:
        assert tests.stdout is not None
        for line in tests.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            summary = summary_of(line) or summary
    return tests.returncode, summary


def summary_of(line: str) -> str:
    """The line without its colours when it is pytest's summary, else nothing."""
    plain = _COLOUR.sub("", line.strip())
    return plain if _SUMMARY.match(plain) else ""


def report(outcomes: list[Outcome]) -> None:
    """The times of the stages, then pytest's own summaries as the last lines."""
    say("\nTimes:")
    for outcome in outcomes:
        word = "passed" if outcome.status == 0 else "FAILED"
        say(f"  {outcome.stage:<9} {word} after {outcome.seconds:.0f} s")
    if any(outcome.status for outcome in outcomes):
        say(
            "One test again: .venv/bin/pytest PATH::NAME; one stage again: make test-sqlite or "
            "make test-postgres (ARGS='-k NAME' narrows it)."
        )
    for outcome in outcomes:
        say(outcome.summary or f"{outcome.stage}: pytest ended without a summary")


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main(words: list[str]) -> int:
    cut = words.index("--") if "--" in words else len(words)
    stages, arguments = words[:cut] or list(STAGES), words[cut + 1 :]
    if unknown := [stage for stage in stages if stage not in STAGES]:
        say(f"no such stage: {', '.join(unknown)}\n{__doc__}")
        return 2
    signal.signal(signal.SIGTERM, _stop)  # so that the servers are stopped
    outcomes: list[Outcome] = []
    try:
        for stage in stages:
            outcomes.append(run_stage(stage, arguments))
    except StepFailed as failure:
        say(str(failure))
        return 1
    except KeyboardInterrupt:
        say("Interrupted.")
        return 130
    report(outcomes)
    return max(outcome.status for outcome in outcomes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
