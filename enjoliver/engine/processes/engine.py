"""Starts the engine's processes under supervisor and stops them all."""

from __future__ import annotations

import http.client
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings

from enjoliver.engine.operators import FirstOperator
from enjoliver.engine.processes.checks import configuration_problems, port_problems
from enjoliver.engine.processes.config import RunConfig, config_from_settings
from enjoliver.engine.processes.errors import CannotStart
from enjoliver.engine.processes.interrupts import heard
from enjoliver.engine.processes.marks import clear_state_dir, marks
from enjoliver.engine.processes.narration import LogFollower, Narrator
from enjoliver.engine.processes.prepare import prepare_database, prepare_folders
from enjoliver.engine.processes.programs import STOP_SECONDS, Program, programs
from enjoliver.engine.processes.runfile import remove_run_file, run_lock, write_run_file
from enjoliver.engine.processes.supervisor_file import log_path, supervisor_file
from enjoliver.engine.processes.watch import Watcher, ending

Say = Callable[[str], None]
_START_SCRIPT = Path(__file__).with_name("supervisord_start.py")
_POLL_SECONDS = 0.2


@contextmanager
def start_engine(
    *, say: Say = print, environment: Mapping[str, str] | None = None
) -> Iterator[Engine]:
    """Start the whole engine as children of this process; stop all of it at the end of `with`.

        with stop_signals_interrupt(), start_engine(say=print) as engine:
            engine.wait_until_answering("/healthz", seconds=60)
            ...  # a story told over HTTP against engine.url

    Everything is taken from this process's Django settings (bind, state directory, matchbox…);
    `environment` adds variables for the children only. `say` gets one sentence at a time, also
    from another thread, while the block runs.

    On entry, in this order: the settings are checked, the state directory is locked, processes
    that an earlier run left there are ended, the ports are checked, the database is migrated and
    the first operator made, the supervisor is started. Raises CannotStart, with one sentence a
    problem, before anything was started. The block is entered at once: use
    `wait_until_answering`.

    Call it from the main thread: when the thread that called it ends, however it ends (kill -9
    of this process included), the kernel tells the supervisor to stop everything.
    """
    config = config_from_settings()
    _refuse(configuration_problems(config))
    with run_lock(config.state_dir):
        if left := clear_state_dir(config.state_dir, grace_seconds=STOP_SECONDS):
            say(f"Ended processes that an earlier run had left behind: {left}.")
        _refuse(port_problems(config))
        prepare_folders(config)
        operator = prepare_database(config)
        engine = Engine(config, operator, say, environment or {})
        try:
            yield engine
        finally:
            engine.stop()


def _refuse(problems: list[str]) -> None:
    if problems:
        raise CannotStart(problems)


class Engine:
    """A running engine. `url`: where this machine reaches it, without a trailing slash."""

    def __init__(
        self, config: RunConfig, operator: FirstOperator, say: Say, environment: Mapping[str, str]
    ) -> None:
        self.config = config
        self.url = config.url
        self.operator = operator
        self.programs = programs(config)
        self._say = say
        run_id = secrets.token_hex(8)
        command = _write_configuration(config, self.programs)
        log = LogFollower(log_path(config, "supervisor"))
        # Its own session: Ctrl-C reaches only this process, which then stops all in order.
        self._supervisor = subprocess.Popen(
            command,
            env={**_environment(config), **environment, **marks(config.state_dir, run_id)},
            cwd=config.state_dir,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # its log file says the same; a full disk must not end it
            start_new_session=True,
        )
        write_run_file(config.state_dir, self._supervisor.pid, run_id)
        called = {program.name: program.called for program in self.programs}
        self._watcher = Watcher(
            config=config,
            supervisor=self._supervisor,
            narrator=Narrator(called, config.logs_dir),
            log=log,
            say=say,
        )
        self._watcher.start()

    def is_running(self) -> bool:
        """Whether the supervisor lives; the programs below it come and go."""
        return self._supervisor.poll() is None

    def wait(self, seconds: float | None = None) -> int | None:
        """Wait for the end (somebody asked over HTTP, or a crash), at most `seconds`.

        Returns the supervisor's exit status, 0 for an orderly stop; None while it runs on.
        """
        try:
            return self._supervisor.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def answers(self, path: str) -> bool:
        """Whether GET `path` gives 200 now."""
        where = urlsplit(self.url)
        connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def wait_until_answering(self, path: str = "/healthz", *, seconds: float = 60) -> None:
        """Return once GET `path` gives 200; TimeoutError, or ChildProcessError when it ended."""
        deadline = time.monotonic() + seconds
        while not self.answers(path):
            if self.wait(_POLL_SECONDS) is not None:
                raise ChildProcessError(f"the engine ended while {path} was awaited")
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"{self.url}{path} did not answer 200 within {seconds:.0f} seconds; "
                    f"see the logs in {self.config.logs_dir}"
                )

    def stop(self) -> None:
        """Stop everything in order; interrupted while it waits, at once. No process is left."""
        try:
            heard()
            self._stop_in_order()
        except KeyboardInterrupt:
            heard()
            self._say("Stopping at once.")
            self._supervisor.kill()
            self._supervisor.wait()
        self._watcher.close()
        clear_state_dir(self.config.state_dir, grace_seconds=2)
        remove_run_file(self.config.state_dir)

    def _stop_in_order(self) -> None:
        patience = sum(program.stop_seconds for program in self.programs) + STOP_SECONDS
        if self.is_running():
            self._supervisor.terminate()
        if self.wait(patience) is None:
            self._supervisor.kill()
            self._supervisor.wait()

    def ended_well(self) -> bool:
        """After its end: whether it was asked to stop. Says why not, if not."""
        status = self._supervisor.poll()
        if status:
            self._say(f"The engine ended with {ending(status)}. Logs: {self.config.logs_dir}")
        return not status


def _write_configuration(config: RunConfig, wanted: list[Program]) -> list[str]:
    """Write supervisord.conf and an empty log to follow; the command that starts the supervisor."""
    path = config.state_dir / "supervisord.conf"
    path.write_text(supervisor_file(config, wanted, settings.BASE_DIR))
    log_path(config, "supervisor").touch()
    # -P: the script's own folder must not hide modules of the same names.
    start = [sys.executable, "-P", str(_START_SCRIPT), str(os.getpid())]
    return [*start, "--nodaemon", "--configuration", str(path)]


def _environment(config: RunConfig) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONUNBUFFERED": "1",
        "PROMETHEUS_MULTIPROC_DIR": str(config.metrics_dir),
    }
