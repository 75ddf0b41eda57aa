"""Processes of a run: jobs that need Django, servers as `make run` starts them, what they use."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psutil

from bench.places import ROOT, Place

START_SECONDS = 180.0
_POLL_SECONDS = 0.02


class JobFailed(Exception):
    """A process of the bench ended badly; its output stands above."""


def run_job(place: Place, job: str, **arguments: Any) -> Any:
    """Run one function of `bench.jobs` in a process of its own on `place`; returns its result.

    What it prints goes to our own output. Raises JobFailed.
    """
    result = place.state_dir / f".result-{job}.json"
    result.unlink(missing_ok=True)
    place.state_dir.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "bench.jobs", job, json.dumps(arguments), str(result)]
    ended = subprocess.run(command, cwd=ROOT, env=place.environment(), check=False)
    if ended.returncode or not result.exists():
        raise JobFailed(f"{job} ended with status {ended.returncode}")
    answer = json.loads(result.read_text())
    result.unlink()
    return answer


@contextmanager
def serve(place: Place, program: str) -> Iterator[psutil.Process]:
    """Run `web`, `matchbox` or `bare` on `place`; yields its main process once it listens."""
    port = place.matchbox_port if program == "matchbox" else place.port
    place.metrics_dir.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "bench.jobs.serve", program]
    environment = place.environment() | {"PROMETHEUS_MULTIPROC_DIR": str(place.metrics_dir)}
    with (place.state_dir / f"{program}.log").open("ab") as log:
        child = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        wait_for_port(port, child)
        yield psutil.Process(child.pid)
    finally:
        stop(child)


def stop(child: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and SIGKILL for what is left of it after half a minute."""
    with suppress(psutil.NoSuchProcess):
        family = family_of(psutil.Process(child.pid))
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            child.kill()
        _gone, alive = psutil.wait_procs(family, timeout=10)
        for process in alive:
            with suppress(psutil.NoSuchProcess):
                process.kill()
    child.wait()


def wait_for_port(port: int, child: subprocess.Popen[bytes]) -> None:
    """Return once something listens; raises JobFailed when `child` ends or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        if child.poll() is not None:
            raise JobFailed(f"{child.args!r} ended with status {child.returncode}")
        if time.monotonic() > deadline:
            raise JobFailed(f"{child.args!r} does not listen after {START_SECONDS:.0f} s")
        time.sleep(_POLL_SECONDS)


def family_of(process: psutil.Process) -> list[psutil.Process]:
    """The process and all below it."""
    return [process, *process.children(recursive=True)]


def cpu_seconds(processes: Iterable[psutil.Process]) -> float:
    """CPU time that living processes have used so far, with what their ended children used."""
    total = 0.0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


@dataclass(frozen=True, slots=True)
class Memory:
    """`resident`: as the kernel counts each process. `own`: pages that nobody else maps."""

    resident: int
    own: int


def memory_of(process: psutil.Process) -> Memory:
    """The memory of one process, in bytes."""
    memory = process.memory_full_info()
    return Memory(memory.rss, memory.uss)


def memories_of(processes: Iterable[psutil.Process]) -> list[Memory]:
    """The memory of each process that still lives."""
    found = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            found.append(memory_of(process))
    return found
