"""The kind command: a program of the site says so by its exit code."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from lifecycle.health.asking import Ask, CheckFailed, Config, Result
from lifecycle.health.fields import Shape
from lifecycle.health.processes import run_bounded
from machines.text import has_control_characters, one_line

_PROGRAM = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_MOST_ARGUMENTS = 50


def _arguments(value: object) -> str:
    if not isinstance(value, list) or not 1 <= len(value) <= _MOST_ARGUMENTS:
        return 'a list like ["check-storage", "--pool", "rbd"] is expected: there is no shell'
    if not all(
        isinstance(part, str) and len(part) <= 1000 and not has_control_characters(part)
        for part in value
    ):
        return "texts of at most 1000 characters on one line are expected"
    if not _PROGRAM.fullmatch(value[0]):
        return "the first is a program's name, without a path: it lies in ENJOLIVER_GATE_COMMANDS"
    return ""


SHAPE = Shape({"command": _arguments}, required=("command",))


def check(config: Config, ask: Ask) -> Result:
    """Run the program; exit code 0 is good, the last line that it writes is the message."""
    name, *arguments = config["command"]
    environment = {"ENJOLIVER_POLICY": ask.policy, "ENJOLIVER_GATE": ask.gate}
    try:
        finished = run_bounded(
            [str(find_program(ask, name)), *arguments],
            seconds=ask.seconds,
            environment=environment,
        )
    except OSError as error:
        raise CheckFailed(f"{name} cannot be started: {error.strerror}") from error
    said = _last_line(finished.output)
    if finished.code is None:
        raise CheckFailed(f"{name} took longer than {ask.seconds:g} s{said and f': {said}'}")
    if finished.code == 0:
        return Result(True, said or f"{name} ended with 0")
    how = f"signal {-finished.code}" if finished.code < 0 else f"exit code {finished.code}"
    return Result(False, f"{name} ended with {how}{said and f': {said}'}")


def find_program(ask: Ask, name: str) -> Path:
    """The program `name` of the directory of commands; raises CheckFailed.

    Whoever may write there decides what runs, so nothing that everybody can write is run.
    """
    if ask.commands is None:
        raise CheckFailed("commands are off: ENJOLIVER_GATE_COMMANDS names no directory")
    path = ask.commands / name
    try:
        modes = [place.stat().st_mode for place in (ask.commands, path)]
    except OSError as error:
        raise CheckFailed(f"there is no program {name} in {ask.commands}") from error
    if not stat.S_ISREG(modes[1]) or not os.access(path, os.X_OK):
        raise CheckFailed(f"{path} is no program")
    if any(mode & stat.S_IWOTH for mode in modes):
        raise CheckFailed(f"everybody can write {path} or its directory: it is not run")
    return path


def _last_line(output: str) -> str:
    lines = [line for line in output.splitlines() if line.strip()]
    return one_line(lines[-1].strip(), 300) if lines else ""
