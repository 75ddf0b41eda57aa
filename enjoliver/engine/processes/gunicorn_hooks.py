"""gunicorn's hooks: a web process that ends takes its share of the gauges with it."""

from __future__ import annotations

from typing import Any

from prometheus_client import multiprocess


def child_exit(server: Any, worker: Any) -> None:
    """Called in gunicorn's main process after a worker ended."""
    multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
