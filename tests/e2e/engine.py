"""A whole engine as a child process: `manage.py run`, its parts, and how to hurt them."""

import base64
import http.client
import json
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from tests.e2e.places import ROOT

# Bounds for failure only, on machines that are many times slower than one that has nothing to do.
PATIENCE = 180
START_SECONDS = 300
STOP_SECONDS = 180


class RunningEngine:
    """One engine on one state directory; it can be stopped and started again."""

    def __init__(self, environment):
        self.environment = environment
        self.state_dir = Path(environment["ENJOLIVER_STATE_DIR"])
        self.url = f"http://{environment['ENJOLIVER_BIND']}"
        self.matchbox_url = f"http://{environment['ENJOLIVER_MATCHBOX_BIND']}"
        self.matchbox_dir = self.state_dir / "matchbox"
        self._process: Any = None

    # --- running ---------------------------------------------------------------------------
    def start(self):
        """Start and wait until it is healthy."""
        self.state_dir.mkdir(parents=True, exist_ok=True)
        with (self.state_dir / "run.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "manage.py", "run"],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_until(self.is_healthy, START_SECONDS, lambda: f"health: {self.story()}")

    def stop(self):
        """Ctrl-C; waits for the end. The exit status."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        status = self._process.wait(STOP_SECONDS)
        self._process = None
        return status

    def kill(self):
        """As a loss of power: the engine and all its processes at once, with SIGKILL."""
        victims = self._frozen()
        for process in victims:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait(STOP_SECONDS)
        self._process = None
        # Until then its ports are not free.
        wait_until(lambda: not any(map(is_alive, victims)), PATIENCE, lambda: str(victims))

    def _frozen(self):
        """All its processes, stopped (SIGSTOP): none of them starts another one any more."""
        whole, found = psutil.Process(self._process.pid), []
        while new := [one for one in [whole, *whole.children(recursive=True)] if one not in found]:
            for process in new:
                with suppress(psutil.NoSuchProcess):
                    process.suspend()
            found += new
        return found

    def is_healthy(self):
        assert self._process.poll() is None, f"the engine ended: {self.story()}"
        return self.ask("GET", "/healthz")[0] == 200

    def story(self):
        """The end of its logs, for a failed test."""
        logs = [self.state_dir / "run.log", *sorted((self.state_dir / "logs").glob("*.log"))]
        return "\n".join(f"== {log.name}\n{log.read_text()[-3000:]}" for log in logs)

    # --- talking ---------------------------------------------------------------------------
    def ask(self, method, path, body=None, *, url=None, is_operator=False):
        """Status and body of one request; status 0 when nobody answers."""
        where = (url or self.url).removeprefix("http://")
        headers = {}
        if is_operator:
            token = base64.b64encode(b"admin:e2e-password").decode()
            headers["Authorization"] = f"Basic {token}"
        connection = http.client.HTTPConnection(where, timeout=PATIENCE)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, body=data, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            return 0, b""
        finally:
            connection.close()

    def read(self, path):
        """The JSON that GET `path` answers."""
        status, body = self.ask("GET", path)
        assert status == 200, (status, body[:300])
        return json.loads(body)

    def manage(self, *arguments):
        """Run a management command against the same state; its output."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def set_control_plane(self, size):
        """As an operator does in the console."""
        self.manage(
            "shell",
            "--command",
            "from scheduling.services import default_cluster, update_cluster\n"
            f"update_cluster(cluster=default_cluster(), actor='e2e', control_plane_size={size})",
        )

    def wait_for_sync(self, after=0.0):
        """Wait for the end of a good sync later than `after`; when it was (Unix time)."""
        found = []

        def is_over():
            status, body = self.ask("GET", "/sync-notify")
            if status == 200:  # else the last one is too long ago
                found.append(json.loads(body)["sync-notify"])
            return found and found[-1] > after

        wait_until(is_over, PATIENCE, lambda: f"a sync: {self.story()}")
        return found[-1]

    # --- hurting ---------------------------------------------------------------------------
    def processes(self, word):
        """Its living processes whose command line has `word` in it."""
        found = []
        for process in psutil.Process(self._process.pid).children(recursive=True):
            try:
                if word in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.Error:  # it ended meanwhile
                continue
        return found

    def matchbox_process(self):
        """The public matchbox, not the private one that renders."""
        return next(iter(self.processes(self.environment["ENJOLIVER_MATCHBOX_BIND"])), None)

    def renderers(self):
        """Private matchbox processes: while one lives, a sync is in its middle."""
        public = self.matchbox_process()
        return [one for one in self.processes("bin/matchbox") if one != public]


@contextmanager
def running_engine(environment):
    """An engine for the time of the block."""
    engine = RunningEngine(environment)
    try:
        engine.start()
        yield engine
    finally:
        engine.stop()


def is_alive(process):
    """Whether it runs; a zombie that nobody has collected yet does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(is_so, seconds, what=lambda: "it"):
    """Poll until `is_so()`; fails with `what()` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what()}"
        time.sleep(0.1)
