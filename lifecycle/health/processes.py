"""Programs that end in time: own session, little environment, a bounded part of their output."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MAX_OUTPUT_BYTES = 64 * 1024
_CHUNK = 16 * 1024
_PIPE_BYTES = 1024 * 1024  # what a pipe holds at most (pipe(7))
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LANG": "C.UTF-8"}


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended; `code` is None when its time was over."""

    code: int | None
    output: str


def run_bounded(
    arguments: Sequence[str],
    *,
    seconds: float,
    environment: Mapping[str, str] | None = None,
    given: bytes = b"",
) -> Finished:
    """Run a program without a shell, and kill all that it started when it ended or its time is
    over. `given` is its standard input. Raises OSError when it cannot be started."""
    with tempfile.TemporaryFile() as entry:
        entry.write(given)
        entry.seek(0)
        process = subprocess.Popen(
            list(arguments),
            stdin=entry,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**ENVIRONMENT, **(environment or {})},
            cwd="/",
            start_new_session=True,
        )
    assert process.stdout is not None  # noqa: S101 - asked for above
    kept = bytearray()
    has_ended = False
    with process.stdout:
        pipe = process.stdout.fileno()
        os.set_blocking(pipe, False)
        try:
            has_ended = _wait(process.pid, pipe, kept, seconds)
        finally:
            # Not reaped yet, so the number still is this session's.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            code = process.wait()
        # What it wrote lies in the pipe by now. Nobody waits for its end: whoever left the session
        # may hold it open for ever, and write for ever.
        for _ in range(_PIPE_BYTES // _CHUNK):
            if not _take(pipe, kept):
                break
    return Finished(code if has_ended else None, bytes(kept).decode("utf-8", "replace"))


def _wait(pid: int, pipe: int, kept: bytearray, seconds: float) -> bool:
    """True when the process has ended within `seconds`; it stays a zombie. Takes all that it
    writes meanwhile, so that it never waits for us."""
    deadline = time.monotonic() + seconds
    descriptor = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        poll.register(pipe, select.POLLIN)
        while True:
            left = max(0.0, deadline - time.monotonic())
            ready = {number for number, _ in poll.poll(left * 1000)}
            if descriptor in ready:
                return True
            if not left:
                return False
            if pipe in ready and not _take(pipe, kept):
                poll.unregister(pipe)  # it says no more, and goes on
    finally:
        os.close(descriptor)


def _take(pipe: int, kept: bytearray) -> bool:
    """Read a part of what lies in the pipe and keep it where there is room; False without any."""
    try:
        chunk = os.read(pipe, _CHUNK)
    except BlockingIOError:
        return False
    kept += chunk[: max(0, MAX_OUTPUT_BYTES - len(kept))]
    return bool(chunk)
