"""gunicorn's hooks: clients that fall silent hold no thread, and gauges end with their process."""

from __future__ import annotations

import resource
import socket
import struct
from typing import Any

from prometheus_client import multiprocess

SILENCE_SECONDS = 20
"""How long the rest of a request may be away. gunicorn would wait for ever, and every machine that
loses its power in the middle of a request would cost one of the few threads."""

STALL_SECONDS = 300
"""How long a receiver may take nothing of an answer; a slow disk behind a download is no fault."""

OPEN_FILES = 4096
"""What a process with all its 1,000 connections needs when each is a download: two descriptors
each, and room for the rest. Many systems begin with 1,024."""


def when_ready(server: Any) -> None:
    """Called in gunicorn's main process before it starts workers.

    The connections take these options over from their listener (socket(7), tcp(7)), the workers
    the limit from this process.
    """
    allow_open_files()
    for listener in server.LISTENERS:
        limit_silence(listener.sock)


def allow_open_files() -> None:
    """Raise this process's limit of open files to OPEN_FILES, or as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def limit_silence(listener: socket.socket) -> None:
    """Bound how long connections of `listener` may neither send nor take anything."""
    patience = struct.pack("ll", SILENCE_SECONDS, 0)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, patience)
    if listener.family in (socket.AF_INET, socket.AF_INET6):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALL_SECONDS * 1000)


def child_exit(server: Any, worker: Any) -> None:
    """Called in gunicorn's main process after a worker ended."""
    multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
