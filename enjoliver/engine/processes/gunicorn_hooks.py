"""gunicorn's hooks: clients that fall silent hold no thread, and gauges end with their process."""

from __future__ import annotations

import socket
import struct
from typing import Any

from prometheus_client import multiprocess

SILENCE_SECONDS = 20
"""How long the rest of a request may be away. gunicorn would wait for ever, and every machine that
loses its power in the middle of a request would cost one of the few threads."""

STALL_SECONDS = 300
"""How long a receiver may take nothing of an answer; a slow disk behind a download is no fault."""


def when_ready(server: Any) -> None:
    """Called in gunicorn's main process before it starts workers.

    The connections take these options over from their listener (socket(7), tcp(7)).
    """
    for listener in server.LISTENERS:
        limit_silence(listener.sock)


def limit_silence(listener: socket.socket) -> None:
    """Bound how long connections of `listener` may neither send nor take anything."""
    patience = struct.pack("ll", SILENCE_SECONDS, 0)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, patience)
    if listener.family in (socket.AF_INET, socket.AF_INET6):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALL_SECONDS * 1000)


def child_exit(server: Any, worker: Any) -> None:
    """Called in gunicorn's main process after a worker ended."""
    multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
