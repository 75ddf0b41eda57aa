"""Running programs: with a deadline, bounded output, and nothing of them left behind."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from selectors import EVENT_READ
from typing import IO

_MAX_OUTPUT = 4 << 20
_MAX_ERRORS = 64 << 10
_PIECE = 64 << 10
_LAST_PIECES = 32
"""More is not left in two pipes when a program has ended; a service may go on to fill them."""
_LOOK_SECONDS = 0.1
"""How often a running program is asked whether it has ended."""
_DYING_SECONDS = 10.0
"""How long a killed program may take to be gone."""


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
    """Run to its end or the deadline; a program that is late is killed with its children.

    What it leaves behind on purpose, such as a service that it started, keeps nobody waiting.
    """
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
        listener = _Listener(process)
        is_over = listener.listen(seconds)
    except BaseException:
        _kill(process)
        raise
    finally:
        _close(process)
    if not is_over:
        _kill(process)
        return Result(None, errors=f"{command[0]}: stopped after {seconds:g} s")
    return Result(process.returncode, _text(listener.output), _text(listener.errors))


class _Listener:
    """Hears a program until it has ended; of what it says no more than a bounded part is kept.

    Its pipes alone would not tell: a service that it starts may hold them open for years.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.output, self.errors = bytearray(), bytearray()

    def listen(self, seconds: float) -> bool:
        """True when the program ended within `seconds`."""
        deadline = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(_pipe(self._process.stdout), EVENT_READ, self._keep_first)
            selector.register(_pipe(self._process.stderr), EVENT_READ, self._keep_last)
            while self._process.poll() is None:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                if selector.get_map():
                    _hear(selector, min(left, _LOOK_SECONDS))
                else:
                    with suppress(subprocess.TimeoutExpired):
                        self._process.wait(left)
            for _ in range(_LAST_PIECES):
                _hear(selector, 0)
        return True

    def _keep_first(self, piece: bytes) -> None:
        self.output += piece[: _MAX_OUTPUT - len(self.output)]

    def _keep_last(self, piece: bytes) -> None:
        self.errors += piece
        del self.errors[:-_MAX_ERRORS]


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


def _hear(selector: selectors.BaseSelector, seconds: float) -> None:
    """Read what there is, and leave out what has ended; waits for `seconds` at most."""
    for key, _ in selector.select(seconds) if selector.get_map() else []:
        piece = os.read(key.fd, _PIECE)
        if piece:
            key.data(piece)
        else:
            selector.unregister(key.fd)


def _pipe(stream: IO[bytes] | None) -> int:
    assert stream is not None  # noqa: S101 - Popen was asked for pipes
    return stream.fileno()


def _close(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the program and its children; one that hangs in the kernel is left to it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_DYING_SECONDS)


def _text(output: bytearray) -> str:
    return output.decode("utf-8", "replace")
