"""One matchbox process on a scratch directory and a random loopback port, for us alone."""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

START_SECONDS = 30.0
STOP_SECONDS = 3.0
_PORT_TRIES = 5
# prctl(PR_SET_PDEATHSIG) ends the child with its parent, also after kill -9 (prctl(2)). Set by a
# tiny launcher, because code between fork and exec is unsafe in a process with threads.
_LAUNCHER = (
    "import ctypes, os, signal, sys\n"
    "ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))\n"
    "if os.getppid() != int(sys.argv[1]): sys.exit('the parent is gone')\n"
    "os.execv(sys.argv[2], sys.argv[2:])\n"
)
# Nothing of ours: matchbox takes MATCHBOX_* for flags. Butane makes a gzip writer of 1 MB per file,
# so Go's collector would run all the time; with a limit instead of a rate it costs a third.
_ENVIRONMENT = {"GOGC": "off", "GOMEMLIMIT": "192MiB"}
_LOGGED = re.compile(r'level=(?:error|warning|fatal) msg=("(?:[^"\\]|\\.)*"|\S+)')


class DoesNotStart(Exception):
    """The program cannot be started; the message says why."""


class ScratchProcess:
    """A running matchbox; `root` is its data directory. The starting thread must outlive it."""

    def __init__(self, program: str, base: Path) -> None:
        """Start it; raises DoesNotStart or OSError, and leaves nothing behind then."""
        self._program = program
        self.root, self._lock = _make_directory(base)
        self._nonce = secrets.token_hex(16)
        try:
            for name in ("groups", "profiles", "ignition", "generic", "assets"):
                (self.root / name).mkdir()
            (self.root / "assets" / "nonce").write_text(self._nonce)
            (self.root / "log").touch()
            self._start()
        except BaseException:
            self._remove()
            raise

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def connect(self, timeout: float) -> http.client.HTTPConnection:
        """A connection (opened at the first request, kept alive) to it."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def put(self, name: str, content: str) -> None:
        """Write a file below `root` so that no request ever sees a part of it."""
        # Beside `groups/`, never in it: matchbox reads every file there as a group.
        draft = self.root / f"draft-{secrets.token_hex(4)}"
        draft.write_text(content, encoding="utf-8")
        draft.replace(self.root / name)

    def drop(self, name: str) -> None:
        """Remove a file below `root`, if it is there."""
        (self.root / name).unlink(missing_ok=True)

    def log_size(self) -> int:
        """How long the log is by now: a place for `logged_since`."""
        return (self.root / "log").stat().st_size

    def logged_since(self, place: int) -> str:
        """The warnings and errors logged after `place`, as one text."""
        with (self.root / "log").open("rb") as log:
            log.seek(place)
            text = log.read().decode("utf-8", "replace")
        return "; ".join(_unquote(found) for found in _LOGGED.findall(text)).strip()

    def stop(self) -> None:
        """End the process and remove its directory."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._remove()

    # --- starting -------------------------------------------------------------------------------

    def _start(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        place = 0
        for _ in range(_PORT_TRIES):
            self.port = _free_port()
            place = self.log_size()
            self._process = self._spawn()
            is_started = False
            try:
                is_started = self._answers(deadline)
            finally:
                if not is_started:  # nobody else would end one that only hangs
                    self._process.kill()
                    self._process.wait()
            if is_started:
                return
        raise DoesNotStart(self.logged_since(place) or f"{self._program} ended without a reason")

    def _spawn(self) -> subprocess.Popen[bytes]:
        arguments = [
            self._program,
            f"-address=127.0.0.1:{self.port}",
            f"-data-path={self.root}",
            f"-assets-path={self.root / 'assets'}",
            "-log-level=warning",
        ]
        if not os.access(self._program, os.X_OK):
            raise DoesNotStart(f"{self._program} is no program; has set-up built it?")
        with (self.root / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_ENVIRONMENT,
            )

    def _answers(self, deadline: float) -> bool:
        """Wait until it answers; False when it ended, because somebody else took the port."""
        while self.is_alive:
            if self._is_ours():
                return True
            if time.monotonic() > deadline:
                raise DoesNotStart(f"no answer within {START_SECONDS:g} s")
            time.sleep(0.01)
        return False

    def _is_ours(self) -> bool:
        """Another matchbox may have taken the port: only ours knows the nonce."""
        connection = self.connect(timeout=1.0)
        try:
            connection.request("GET", "/assets/nonce")
            return connection.getresponse().read() == self._nonce.encode()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _remove(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
        os.close(self._lock)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _make_directory(base: Path) -> tuple[Path, int]:
    """A new directory below `base`, locked while we live; removes those of dead processes."""
    base.mkdir(parents=True, exist_ok=True)
    for orphan in base.iterdir():
        lock = _lock(orphan)
        if lock is not None:
            shutil.rmtree(orphan, ignore_errors=True)
            os.close(lock)
    while True:
        path = Path(tempfile.mkdtemp(dir=base, prefix="render-"))
        lock = _lock(path)
        # Another process may have taken the new directory for an orphan before we locked it.
        if lock is not None:
            if path.is_dir():
                return path, lock
            os.close(lock)


def _lock(directory: Path) -> int | None:
    try:
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


def _unquote(logged: str) -> str:
    try:
        return str(json.loads(logged))
    except ValueError:
        return logged.strip('"')
