"""Settings, dumps and stopping: for operators, each with its own permission."""

import os
import signal
import subprocess
import sys

import psutil
import pytest
from django.contrib.auth.models import Permission, User

from enjoliver.common.polling import wait_until
from enjoliver.engine.processes.marks import marks
from enjoliver.engine.processes.runfile import write_run_file
from machines.models import Event

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("method", "path", "codename"),
    [
        ("get", "/config", "view_settings"),
        ("get", "/configs", "view_settings"),
        ("get", "/backup/export", "export_backup"),
        ("post", "/backup/db", "export_backup"),
        ("post", "/shutdown", "shut_down"),
    ],
)
def test_each_route_needs_its_own_permission(client, settings, tmp_path, method, path, codename):
    settings.STATE_DIR = tmp_path
    user = User.objects.create_user("reader", is_staff=True)
    client.force_login(user)
    assert getattr(client, method)(path).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename=codename))
    assert getattr(client, method)(path).status_code in (200, 409, 501)


def test_settings_are_the_same_under_both_names(admin_client):
    assert admin_client.get("/config").json() == admin_client.get("/configs").json()


def test_settings_show_no_secret(admin_client, settings):
    text = admin_client.get("/config").content.decode()
    assert settings.SECRET_KEY not in text
    assert "ENJOLIVER_NODE_NETWORKS" in text


@pytest.mark.parametrize("method", ["get", "post"])
def test_no_dump_is_made_and_it_is_said(admin_client, method):
    answer = getattr(admin_client, method)("/backup/db")
    assert (answer.status_code, answer.json()["kind"]) == (501, "not_implemented")


def test_an_engine_that_was_started_elsewhere_is_not_stopped(admin_client, settings, tmp_path):
    settings.STATE_DIR = tmp_path
    answer = admin_client.post("/shutdown")
    assert (answer.status_code, answer.json()["kind"]) == (409, "not_under_run")


@pytest.fixture
def supervisor(tmp_path):
    """A process that stands for the supervisor of a run on `tmp_path`, with one child."""
    code = "import subprocess, time; subprocess.Popen(['sleep', '600']); time.sleep(600)"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, **marks(tmp_path, "run")},
        start_new_session=True,
    )
    try:
        # By its name: before its program begins, the child is a copy of its parent.
        wait_until(lambda: children_of(process.pid) == ["sleep"], seconds=120, what="it runs")
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def children_of(pid):
    try:
        return [child.name() for child in psutil.Process(pid).children()]
    except psutil.NoSuchProcess:
        return []


def test_shutdown_asks_the_supervisor_and_names_its_processes(
    admin_client, settings, tmp_path, supervisor
):
    settings.STATE_DIR = tmp_path
    write_run_file(tmp_path, supervisor.pid, "run")
    answer = admin_client.post("/shutdown")
    assert answer.status_code == 200
    assert answer.json()[0]["pid"] == supervisor.pid
    assert "sleep" in [process["name"] for process in answer.json()]
    assert supervisor.wait(120) == -signal.SIGTERM
    event = Event.objects.get(kind="shutdown")
    assert event.actor == "admin"


def test_a_number_that_another_process_got_later_is_not_stopped(
    admin_client, settings, tmp_path, supervisor
):
    settings.STATE_DIR = tmp_path
    write_run_file(tmp_path, supervisor.pid, "run")
    file = tmp_path / "run.pid"
    file.write_text(file.read_text().replace('"started_ticks": ', '"started_ticks": 1'))
    assert admin_client.post("/shutdown").status_code == 409
    assert supervisor.poll() is None


@pytest.mark.parametrize("content", ["", "{}", "12", '{"pid": "x"}', "\x00"])
def test_a_broken_run_file_is_no_run(admin_client, settings, tmp_path, content):
    settings.STATE_DIR = tmp_path
    (tmp_path / "run.pid").write_text(content)
    assert admin_client.post("/shutdown").status_code == 409
