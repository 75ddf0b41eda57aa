"""`python -m tools.run_tests [sqlite] [postgres] [-- PYTEST ARGUMENTS]`: the tests, in stages.

Stage `sqlite`: everything. Stage `postgres`: all that touches the database or starts the engine,
again, on a private PostgreSQL and Redis. Both when none is named, at the same time: each waits
often enough to leave room for the other.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tools.steps import ROOT, StepFailed, say
from tools.testservices import private_services

STAGES = ("sqlite", "postgres")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# With -q there is no line of = around it.
_SUMMARY = re.compile(r"^(?:=+ )?(?:\d+ \w+|no tests ran)\b.* in [0-9.]+s\b")
# The caller's own engine must not leak into the tests.
_NOT_INHERITED = ("DATABASE_URL", "PROMETHEUS_MULTIPROC_DIR")

Emit = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one stage ended; `summary` is pytest's own last line."""

    stage: str
    status: int
    seconds: float
    summary: str


class Stages:
    """Runs stages side by side: the first one's output as it comes, the others' after it."""

    def __init__(self, names: Sequence[str], arguments: Sequence[str]) -> None:
        self._names = names
        self._arguments = list(arguments)
        self._running: list[subprocess.Popen[str]] = []

    def run(self) -> list[Outcome]:
        """All outcomes. Raises StepFailed without servers; an interrupt stops every stage first."""
        held: dict[str, list[str]] = {name: [] for name in self._names[1:]}
        with ThreadPoolExecutor(len(self._names)) as pool:
            futures = {
                name: pool.submit(
                    self._run_stage, name, held[name].append if name in held else _out
                )
                for name in self._names
            }
            outcomes = []
            try:
                for name, future in futures.items():
                    outcomes.append(future.result())
                    _out("".join(held.get(name, "")))
            except BaseException:
                self._interrupt()
                raise
            return outcomes

    def _run_stage(self, name: str, emit: Emit) -> Outcome:
        started = time.monotonic()
        emit(f"== Tests on {name}\n")
        if name == "postgres":
            with private_services() as services:
                status, summary = self._pytest(["-p", "tools.only_database"], services, emit)
        else:
            status, summary = self._pytest(
                ["-m", "not postgres and not lab and not kubernetes"], {}, emit
            )
        return Outcome(name, status, time.monotonic() - started, summary)

    def _pytest(
        self, options: Sequence[str], environment: Mapping[str, str], emit: Emit
    ) -> tuple[int, str]:
        """Exit status and summary line of one pytest run."""
        colour = ["--color=yes"] if sys.stdout.isatty() else []
        summary = ""
        with subprocess.Popen(
            [sys.executable, "-m", "pytest", *colour, *options, *self._arguments],
            cwd=ROOT,
            env={**_kept_environment(), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C reaches it through us, once
        ) as tests:
            self._running.append(tests)
            assert tests.stdout is not None
            for line in tests.stdout:
                emit(line)
                summary = summary_of(line) or summary
        return tests.returncode, summary

    def _interrupt(self) -> None:
        """As Ctrl-C does: pytest tears its fixtures down, and with them the engines it started."""
        for tests in self._running:
            if tests.poll() is None:
                tests.send_signal(signal.SIGINT)


def _out(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _kept_environment() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("ENJOLIVER_") and name not in _NOT_INHERITED
    }


def summary_of(line: str) -> str:
    """The line without its colours when it is pytest's summary, else nothing."""
    plain = _COLOUR.sub("", line.strip())
    return plain if _SUMMARY.match(plain) else ""


def report(outcomes: Sequence[Outcome]) -> None:
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


def main(words: list[str]) -> int:
    cut = words.index("--") if "--" in words else len(words)
    names, arguments = words[:cut] or list(STAGES), words[cut + 1 :]
    if unknown := [name for name in names if name not in STAGES]:
        say(f"no such stage: {', '.join(unknown)}\n{__doc__}")
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: all is torn down
    try:
        outcomes = Stages(names, arguments).run()
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
