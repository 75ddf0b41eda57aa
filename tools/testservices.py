"""A private PostgreSQL and a private Redis for the tests: own folder, free ports, loopback only.

`python -m tools.testservices COMMAND…` runs a command with DATABASE_URL and ENJOLIVER_BROKER_URL
set, and gives its exit status. Nothing of the system's own servers is touched.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tools.ports import hold_port, port_of
from tools.steps import StepFailed, say

# Bounds for failure only, on machines that are busy with much else.
_START_SECONDS = 180
_STOP_SECONDS = 60


@contextmanager
def private_services() -> Iterator[dict[str, str]]:
    """Start both servers, give the environment that leads to them, stop both at the end.

    They end with the calling thread too, however it ends. Raises StepFailed when one does not
    start.
    """
    # In the system's folder for such: the servers' user may not reach into a home directory, and
    # a socket's path must be short.
    with tempfile.TemporaryDirectory(prefix="enjoliver-services-") as name:
        folder = Path(name)
        user = _unprivileged_user()
        if user:
            shutil.chown(folder, user)
        with (
            hold_port() as port,
            hold_port() as broker_port,
            _postgres(folder, user, port_of(port)) as database_url,
            _redis(folder, user, port_of(broker_port)) as broker_url,
        ):
            yield {"DATABASE_URL": database_url, "ENJOLIVER_BROKER_URL": broker_url}


def _unprivileged_user() -> str | None:
    """Whom the servers run as, None for ourselves: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


@contextmanager
def _postgres(folder: Path, user: str | None, port: int) -> Iterator[str]:
    data = folder / "postgresql"
    initdb = [_postgres_program("initdb"), "-D", str(data), "--username=enjoliver"]
    initdb += ["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
    _prepare(initdb, user, folder)
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": str(folder),
        "fsync": "off",  # nothing here outlives the tests
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "max_connections": "200",
        # It would note that tables are empty between two tests, and the planner then joins the
        # next test's ten thousand rows in nested loops: minutes, and only sometimes.
        "autovacuum": "off",
    }
    command = [_postgres_program("postgres"), "-D", str(data)]
    command += [f"--{name}={value}" for name, value in settings.items()]
    # SIGINT: PostgreSQL's fast shutdown, which does not wait for clients.
    with _server("postgresql", command, user, folder, stop=signal.SIGINT):
        create = [_postgres_program("createdb"), "-h", str(folder), "-p", str(port)]
        create += ["-U", "enjoliver", "enjoliver"]
        _wait_until(lambda: _succeeds(create), "PostgreSQL", folder / "postgresql.log")
        yield f"postgres://enjoliver@127.0.0.1:{port}/enjoliver"


@contextmanager
def _redis(folder: Path, user: str | None, port: int) -> Iterator[str]:
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    command += ["--save", "", "--appendonly", "no"]
    with _server("redis", command, user, folder, stop=signal.SIGTERM):
        _wait_until(lambda: _accepts(port), "Redis", folder / "redis.log")
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def _server(
    name: str, command: Sequence[str], user: str | None, folder: Path, *, stop: signal.Signals
) -> Iterator[None]:
    with (folder / f"{name}.log").open("wb") as log:
        server = subprocess.Popen(
            # setpriv, after it became its user: the kernel ends it with us, kill -9 included
            ["setpriv", "--pdeathsig", stop.name.removeprefix("SIG"), *command],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the tests; we stop the servers after them
            user=user,
            group=_group(user),
            extra_groups=None if user is None else [],
        )
    try:
        yield
    finally:
        server.send_signal(stop)
        try:
            server.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _group(user: str | None) -> int | None:
    return None if user is None else pwd.getpwnam(user).pw_gid


def _prepare(command: Sequence[str], user: str | None, folder: Path) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        user=user,
        group=_group(user),
        extra_groups=None if user is None else [],
    )
    if done.returncode != 0:
        raise StepFailed(f"{command[0]} failed:\n{done.stderr}")


def _postgres_program(name: str) -> str:
    """Debian keeps PostgreSQL's programs off PATH, by version; the newest is taken."""
    found = shutil.which(name)
    versions = Path("/usr/lib/postgresql").glob(f"*/bin/{name}")
    newest = max(versions, key=lambda path: int(path.parts[4]), default=None)
    if not found and newest is None:
        raise StepFailed(f"PostgreSQL's {name} is not here: run `make setup`.")
    return str(newest or found)


def _wait_until(is_true: Callable[[], bool], name: str, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not is_true():
        if time.monotonic() > deadline:
            raise StepFailed(f"{name} did not start:\n{log.read_text(errors='replace')}")
        time.sleep(0.1)


def _succeeds(command: Sequence[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def main(command: list[str]) -> int:
    if not command:
        say(__doc__ or "")
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: both are stopped
    try:
        with private_services() as environment:
            return subprocess.run(
                command, env={**os.environ, **environment}, check=False
            ).returncode
    except StepFailed as failure:
        say(str(failure))
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
