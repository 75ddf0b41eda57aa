"""The programs of a run: command, how each is stopped, what it is called in plain words."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from enjoliver.engine.processes.config import RunConfig

STOP_SECONDS = 30
_SCHEDULER = "enjoliver.engine.processes.beat:SteadyScheduler"
_WORKER = "enjoliver.engine.web.worker.DownloadWorker"
_HOOKS = Path(__file__).with_name("gunicorn_hooks.py")


@dataclass(frozen=True, slots=True)
class Program:
    """`priority`: low starts first and stops last. `stops_as_group`: SIGTERM goes to the
    children too. Whatever is left after `stop_seconds` is killed with its whole group."""

    name: str
    called: str
    command: tuple[str, ...]
    priority: int
    stop_seconds: int = STOP_SECONDS
    stops_as_group: bool = True


def programs(config: RunConfig) -> list[Program]:
    """The programs that this configuration wants, in the order of their start."""
    return list(_programs(config))


def _programs(config: RunConfig) -> Iterator[Program]:
    if config.matchbox_bind:
        yield Program("matchbox", "matchbox", matchbox_command(config), priority=10)
    yield Program(
        "worker",
        "the worker",
        worker_command(config),
        priority=20,
        # SIGTERM to the children would end their tasks in the middle; the main process alone
        # lets them finish first.
        stops_as_group=False,
    )
    # Longer than gunicorn's own grace, so that gunicorn decides when a request had its time.
    yield Program(
        "web", "the web server", web_command(config), priority=30, stop_seconds=STOP_SECONDS + 5
    )


def matchbox_command(config: RunConfig) -> tuple[str, ...]:
    """matchbox, serving its directory read-only over HTTP (no gRPC)."""
    return (
        config.matchbox_bin,
        f"-address={config.matchbox_bind}",
        f"-data-path={config.matchbox_path}",
        f"-assets-path={config.assets_path}",
        f"-log-level={'debug' if config.log_level == 'DEBUG' else 'info'}",
    )


def worker_command(config: RunConfig) -> tuple[str, ...]:
    """A Celery worker with beat inside.

    Processes and not threads: a sync computes for seconds and shall not slow the scheduler, and
    a task that is killed takes nothing else with it. Two, so that one of them stays free for the
    short tasks. No events: a row in the database tells whether the worker lives.
    """
    return (
        *(sys.executable, "-m", "celery", "-A", "enjoliver", "worker"),
        *("--beat", f"--scheduler={_SCHEDULER}"),
        *("--pool=prefork", "--concurrency=2", f"--loglevel={config.log_level}"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    )


def web_command(config: RunConfig) -> tuple[str, ...]:
    """gunicorn with threads, and downloads beside them.

    Connections are kept for five seconds only: each idle one holds one of a process's 1,000
    places, and 10,000 machines may come back in the same second.
    """
    return (
        *(sys.executable, "-m", "gunicorn", "enjoliver.wsgi:application"),
        # As a file: the package around it needs Django set up, which gunicorn does later.
        *("--config", f"file:{_HOOKS}", "--bind", config.bind),
        *("--worker-class", _WORKER, "--workers", str(config.web_workers)),
        *("--threads", str(config.web_threads), "--keep-alive", "5"),
        *("--graceful-timeout", str(STOP_SECONDS), "--worker-tmp-dir", _memory_dir(config)),
        # Percent signs triple a raw query; gunicorn would refuse what we read, and with HTML.
        *("--limit-request-line", "8190"),
        # Its default place is in the user's home, where two engines would share it.
        *("--no-control-socket", "--log-level", config.log_level.lower()),
    )


def _memory_dir(config: RunConfig) -> str:
    """Where gunicorn's workers touch their heartbeat files; a slow disk would look like death."""
    in_memory = "/dev/shm"  # noqa: S108 - gunicorn makes its own private file there
    return in_memory if os.access(in_memory, os.W_OK) else str(config.state_dir)
