"""Running programs: with a deadline, bounded output, and nothing of them left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

_MAX_OUTPUT = 4 << 20


@dataclass(frozen=True, slots=True)
class Result:
    """How a program ended: its status (None when it could not run or was stopped) and words."""

    status: int | None
    output: str = ""
    errors: str = ""

    @property
    def is_good(self) -> bool:
        """True when it ended with status 0."""
        return self.status == 0

    def sentence(self) -> str:
        """The last line of what it said, or how it ended."""
        lines = (self.errors.strip() or self.output.strip()).splitlines()
        how = "could not run" if self.status is None else f"status {self.status}"
        return f"{how}: {lines[-1][:300]}" if lines else how


def run(
    command: Sequence[str], *, seconds: float, environment: Mapping[str, str] | None = None
) -> Result:
    """Run to its end or the deadline; a program that is late is killed with its children."""
    try:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env={**plain_environment(os.environ), **(environment or {})},
        )
    except OSError as error:
        return Result(None, errors=f"{command[0]}: {error.strerror}")
    try:
        output, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        _kill(process)
        return Result(None, errors=f"{command[0]}: stopped after {seconds:g} s")
    except BaseException:
        _kill(process)
        raise
    return Result(process.returncode, _text(output), _text(errors))


def plain_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment as it was before PyInstaller's start: its libraries are not for others.

    https://pyinstaller.org/en/stable/runtime-information.html (LD_LIBRARY_PATH)
    """
    plain = dict(environment)
    if getattr(sys, "frozen", False):
        own = plain.pop("LD_LIBRARY_PATH_ORIG", None)
        plain.pop("LD_LIBRARY_PATH", None)
        plain |= {"LD_LIBRARY_PATH": own} if own else {}
    return plain


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def _text(output: bytes) -> str:
    return output[:_MAX_OUTPUT].decode("utf-8", "replace")
