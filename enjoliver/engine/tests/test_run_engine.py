"""`manage.py run` as an operator meets it: started, killed in parts, stopped, started again."""

import os
import re
import signal
import stat
import subprocess
import sys

import httpx
import psutil
import pytest
from django.conf import settings

from enjoliver.engine.processes.runfile import request_stop, running_supervisor
from enjoliver.engine.tests.runs import (
    STOP_SECONDS,
    environment,
    is_alive,
    private_services,
    running_engine,
    wait_until,
)
from tools.ports import free_port

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """One engine for the tests that leave it running."""
    with running_engine(tmp_path_factory.mktemp("shared") / "var") as run:
        run.wait_until_up()
        wait_until(lambda: "State: " in run.output, "it has introduced itself")
        yield run


def refused(variables):
    """Output and exit status of a run that is expected not to start."""
    command = [sys.executable, "manage.py", "run"]
    ended = subprocess.run(
        command, cwd=settings.BASE_DIR, env=variables, capture_output=True, text=True, timeout=240
    )
    return ended.stdout + ended.stderr, ended.returncode


def log_in(url, password):
    """Whether the console lets `admin` in with this password."""
    with httpx.Client(base_url=url, timeout=10) as client:
        page = client.get("/admin/login/").text
        token = re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[0]
        form = {"username": "admin", "password": password, "csrfmiddlewaretoken": token}
        answer = client.post("/admin/login/?next=/admin/", data=form, headers={"Referer": url})
        return answer.status_code == 302


def test_the_generated_password_opens_the_console_and_only_its_owner_can_read_it(engine):
    file = engine.state_dir / "admin-password"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for secret in ("secret-key", "enjoliver.sqlite3"):
        if (engine.state_dir / secret).exists():
            assert stat.S_IMODE((engine.state_dir / secret).stat().st_mode) == 0o600
    assert str(file) in engine.output
    assert log_in(engine.url, file.read_text().strip())
    assert not log_in(engine.url, "another password")


def listened_on(process):
    """The ports it listens on; none for one that ended while we looked."""
    try:
        connections = process.net_connections()
    except psutil.NoSuchProcess:
        return []
    return [one.laddr.port for one in connections if one.status == psutil.CONN_LISTEN]


@pytest.mark.once
def test_nothing_but_the_two_announced_ports_is_listened_on(engine):
    announced = {int(port) for port in re.findall(r"http://127\.0\.0\.1:(\d+)\b", engine.output)}
    assert len(announced) == 2

    def listened_on_by_all():
        return {port for process in engine.processes() for port in listened_on(process)}

    # The first sync has a matchbox of its own while it renders.
    wait_until(lambda: listened_on_by_all() == announced, f"only {announced} are listened on")


def lasting(run):
    """The supervisor and its programs; what a sync starts for a moment is not in it."""
    return [run.supervisor, *map(run.leader, ("matchbox", "celery", "gunicorn"))]


@pytest.mark.once
def test_a_second_run_on_the_same_state_directory_is_refused(engine):
    before = lasting(engine)
    output, status = refused(environment(engine.state_dir))
    assert status == 1
    assert "already runs on the state directory" in output
    assert f"process {engine.process.pid}" in output
    assert "ENJOLIVER_STATE_DIR" in output
    assert all(is_alive(process) for process in before)


@pytest.mark.once
def test_a_killed_web_server_comes_back_and_the_operator_is_told(engine):
    killed = engine.leader("gunicorn")
    its_all = [killed, *killed.children(recursive=True)]
    killed.kill()
    # A child that is left notices after a moment, and until then it answers in the new one's place.
    wait_until(lambda: not any(map(is_alive, its_all)), "the killed web server is gone")
    wait_until(engine.answers, "the web server answers again")
    assert engine.leader("gunicorn").pid != killed.pid
    wait_until(lambda: "The web server was started again" in engine.output, "it is said")
    assert "The web server ended by itself (terminated by SIGKILL)" in engine.output


@pytest.mark.once
def test_children_of_a_killed_worker_are_ended_and_the_worker_comes_back(engine):
    worker = engine.leader("celery")
    left = worker.children(recursive=True)
    worker.kill()
    wait_until(lambda: not any(is_alive(child) for child in left), "no child is left")
    wait_until(lambda: engine.leader("celery").pid != worker.pid, "a new worker runs")


@pytest.mark.once
def test_a_port_in_use_is_named_with_its_setting_and_nothing_is_started(tmp_path, engine):
    taken = engine.url.rpartition(":")[2]
    variables = environment(tmp_path / "var", ENJOLIVER_BIND=f"127.0.0.1:{taken}")
    output, status = refused(variables)
    assert status == 1
    assert (
        f"ENJOLIVER_BIND=127.0.0.1:{taken} cannot be listened on: Address already in use" in output
    )
    assert not (tmp_path / "var" / "enjoliver.sqlite3").exists()
    assert not (tmp_path / "var" / "run.pid").exists()


@pytest.mark.once
def test_a_database_that_is_away_is_named_with_its_setting(tmp_path):
    away = f"postgres://nobody@127.0.0.1:{free_port()}/none"
    output, status = refused(environment(tmp_path / "var", DATABASE_URL=away))
    assert status == 1
    assert "The database cannot be used (DATABASE_URL)" in output
    assert "Traceback" not in output
    assert not (tmp_path / "var" / "run.pid").exists()


@pytest.mark.once
def test_an_engine_beyond_loopback_must_know_the_address_that_machines_use(tmp_path):
    variables = environment(tmp_path / "var", ENJOLIVER_BIND=f"0.0.0.0:{free_port()}")
    output, status = refused(variables)
    assert status == 1
    assert "ENJOLIVER_API_URI is not set" in output
    assert not (tmp_path / "var" / "run.pid").exists()


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.once)]
)
def test_a_signal_stops_all_processes_and_the_state_survives(tmp_path, number):
    with private_services() as services:
        variables = environment(tmp_path / "var", **services)
        with running_engine(tmp_path / "var", variables) as run:
            run.wait_until_up()
            started = run.processes()
            assert len(started) >= 8  # supervisor, matchbox, gunicorn + 1, celery + 3
            password = (run.state_dir / "admin-password").read_text()
            assert run.stop(number) == 0, run.output
            assert run.processes() == []
            # A process that ends has lost its marks a moment before it is gone.
            wait_until(lambda: not any(map(is_alive, started)), "all have ended")
            assert running_supervisor(run.state_dir) is None
            assert "Stopped; the state stays" in run.output
        if number == signal.SIGTERM:
            with running_engine(tmp_path / "var", variables) as run:
                run.wait_until_up()
                assert (run.state_dir / "admin-password").read_text() == password
                assert log_in(run.url, password.strip())


@pytest.mark.once
def test_a_request_to_stop_ends_the_run_well(tmp_path):
    with running_engine(tmp_path / "var") as run:
        run.wait_until_up()
        assert request_stop(run.state_dir)
        assert run.process.wait(STOP_SECONDS) == 0
        assert run.processes() == []
        assert not request_stop(run.state_dir)


@pytest.mark.once
def test_a_run_killed_with_minus_nine_takes_everything_with_it(tmp_path):
    with running_engine(tmp_path / "var") as run:
        run.wait_until_up()
        run.process.kill()
        run.process.wait()
        wait_until(lambda: run.processes() == [], "all have ended", seconds=STOP_SECONDS)


def test_the_next_run_clears_what_a_killed_supervisor_left(tmp_path):
    with private_services() as services:
        variables = environment(tmp_path / "var", **services)
        with running_engine(tmp_path / "var", variables) as run:
            run.wait_until_up()
            supervisor = run.supervisor
            left = [process for process in run.processes() if process != supervisor]
            assert len(left) >= 7
            # Stopped first, so that neither can clear up after the other.
            os.kill(run.process.pid, signal.SIGSTOP)
            supervisor.kill()
            os.kill(run.process.pid, signal.SIGKILL)
            run.process.wait()
            # Until it is gone, what it left looks like an engine that is up.
            wait_until(lambda: not is_alive(supervisor), "the supervisor is gone")
            # Some end by themselves, sooner or later: nobody reads what they write any more.
            assert any(is_alive(process) for process in left)
            with running_engine(tmp_path / "var", variables) as again:
                again.wait_until_up()
                assert not any(is_alive(process) for process in left)
                assert "an earlier run had left behind" in again.output


@pytest.mark.once
def test_a_run_whose_supervisor_is_killed_ends_the_rest_and_says_so(tmp_path):
    with running_engine(tmp_path / "var") as run:
        run.wait_until_up()
        run.supervisor.kill()
        assert run.process.wait(STOP_SECONDS) == 1
        assert run.processes() == []
        assert "The supervisor ended by itself (signal 9)" in run.output
