"""`manage.py run` for tests: its own state directory, free ports, its own database and queue.

    with running_engine(tmp_path / "var") as run:
        run.wait_until_up()
        httpx.get(f"{run.url}/healthz")

On PostgreSQL and Redis when the tests run there, else with the embedded defaults.
"""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import psycopg
import redis
from django.conf import settings

from enjoliver.engine.processes.marks import marked_processes
from enjoliver.engine.processes.runfile import running_supervisor
from tools.ports import free_port

START_SECONDS = 240
STOP_SECONDS = 240
"""Each program may take 30 seconds and more for what it has in hand."""


def is_alive(process: psutil.Process) -> bool:
    """Whether it runs; a zombie that nobody has collected yet does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(is_true: Callable[[], object], what: str, *, seconds: float = 120) -> None:
    """Poll a condition; fails the test with `what` when it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.1)


@dataclass
class Run:
    """One `manage.py run` under test; `output` is what it has said so far."""

    process: subprocess.Popen[bytes]
    url: str
    state_dir: Path
    log: Path

    @property
    def output(self) -> str:
        return self.log.read_text()

    @property
    def supervisor(self) -> psutil.Process:
        found = running_supervisor(self.state_dir)
        assert found is not None, "no supervisor runs"
        return found

    def leader(self, word: str) -> psutil.Process:
        """The program (`gunicorn`, `celery`, `matchbox`) that the supervisor started itself."""
        found: list[psutil.Process] = []

        def is_found() -> bool:
            found.extend(self._leaders(word))
            return bool(found)

        wait_until(is_found, f"{word} runs")
        return found[0]

    def _leaders(self, word: str) -> Iterator[psutil.Process]:
        supervisor = running_supervisor(self.state_dir)
        for child in supervisor.children() if supervisor else ():
            with suppress(psutil.Error):  # it ended while we looked
                if word in " ".join(child.cmdline()):
                    yield child

    def processes(self) -> list[psutil.Process]:
        """Everything alive that belongs to this state directory."""
        return marked_processes(self.state_dir)

    def answers(self, path: str = "/admin/login/") -> bool:
        try:
            return httpx.get(f"{self.url}{path}", timeout=10).status_code == 200
        except httpx.TransportError:
            return False

    def wait_until_up(self, path: str = "/admin/login/") -> None:
        """Return once `path` answers 200 and the worker has its two children and beat; shows what
        was said when the run ends before."""

        def is_up() -> bool:
            assert self.process.poll() is None, self.output
            return self._has_complete_worker() and self.answers(path)

        wait_until(is_up, f"{path} answers 200 and the worker is complete", seconds=START_SECONDS)

    def _has_complete_worker(self) -> bool:
        try:
            return any(len(worker.children()) >= 3 for worker in self._leaders("celery"))
        except psutil.NoSuchProcess:  # it ended while we looked
            return False

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal to the run; its exit status."""
        self.process.send_signal(number)
        return self.process.wait(STOP_SECONDS)

    def kill_everything(self) -> None:
        """What a test left, without grace."""
        self.process.kill()
        self.process.wait()
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()


def environment(state_dir: Path, **more: str) -> dict[str, str]:
    """The environment of a run: nothing of the tests' own settings, everything private."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("ENJOLIVER_") and name not in ("DJANGO_SETTINGS_MODULE", "COLUMNS")
    }
    return {
        **kept,
        "ENJOLIVER_STATE_DIR": str(state_dir),
        "ENJOLIVER_BIND": f"127.0.0.1:{free_port()}",
        "ENJOLIVER_MATCHBOX_BIND": f"127.0.0.1:{free_port()}",
        "ENJOLIVER_WEB_WORKERS": "1",
        **more,
    }


@contextmanager
def running_engine(
    state_dir: Path, variables: Mapping[str, str] | None = None, command: str = "run"
) -> Iterator[Run]:
    """Start `manage.py run` (or another command that starts the engine); nothing is left after.

    `variables` go over those of `environment`; for two runs on one database they must name it.
    """
    given = dict(variables or {})
    own: AbstractContextManager[dict[str, str]] = (
        nullcontext({}) if "DATABASE_URL" in given else private_services()
    )
    with own as services:
        yield from _running(state_dir, environment(state_dir, **{**services, **given}), command)


def _running(state_dir: Path, variables: dict[str, str], command: str) -> Iterator[Run]:
    log = state_dir.parent / f"{state_dir.name}-{secrets.token_hex(4)}.log"
    # Ends with the tests, however they end.
    words = ["setpriv", "--pdeathsig", "TERM", sys.executable, "manage.py", *command.split()]
    with log.open("wb") as output:
        process = subprocess.Popen(
            words, cwd=settings.BASE_DIR, env=variables, stdout=output, stderr=subprocess.STDOUT
        )
    run = Run(process, f"http://{variables['ENJOLIVER_BIND']}", state_dir, log)
    try:
        yield run
    finally:
        if process.poll() is None:
            run.stop()
        run.kill_everything()


@contextmanager
def private_services() -> Iterator[dict[str, str]]:
    """The variables that lead to an own database and queue on the tests' servers, if any."""
    url = os.environ.get("DATABASE_URL")
    if not url:
        yield {}
        return
    name = f"run_{secrets.token_hex(6)}"
    _execute(url, f"CREATE DATABASE {name}")
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    broker = re.sub(r"/\d+$", f"/{int(worker) + 1}", os.environ["ENJOLIVER_BROKER_URL"])
    redis.Redis.from_url(broker).flushdb()
    try:
        yield {
            "DATABASE_URL": f"{url.rpartition('/')[0]}/{name}",
            "ENJOLIVER_BROKER_URL": broker,
        }
    finally:
        _execute(url, f"DROP DATABASE {name} WITH (FORCE)")


def _execute(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())
