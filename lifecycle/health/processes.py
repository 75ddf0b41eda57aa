"""Programs that end in time: own session, little environment, a bounded part of their output."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO

MAX_OUTPUT_BYTES = 64 * 1024
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
    reader = threading.Thread(target=_read, args=(process.stdout, kept), daemon=True)
    reader.start()
    has_ended = False
    try:
        has_ended = _wait(process.pid, seconds)
    finally:
        # Not reaped yet, so the number still is this session's.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
        reader.join(timeout=1)  # whoever left the session may hold the pipe open for ever
    return Finished(code if has_ended else None, bytes(kept).decode("utf-8", "replace"))


def _wait(pid: int, seconds: float) -> bool:
    """True when the process has ended within `seconds`; it stays a zombie."""
    descriptor = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(max(0.0, seconds) * 1000))
    finally:
        os.close(descriptor)


def _read(pipe: IO[bytes], kept: bytearray) -> None:
    """Everything, so that the program never waits for us; only the first part is kept."""
    with pipe:
        while chunk := os.read(pipe.fileno(), 16 * 1024):
            kept += chunk[: MAX_OUTPUT_BYTES - len(kept)]
