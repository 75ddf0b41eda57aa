"""The command line and the status page, as they are called on a machine."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from agent import cli
from agent.report import Reported
from agent.statuspage import metrics, status_page
from agent.tests.engines import role_config
from agent.tests.machines import GIB
from tools.ports import free_port


def call(machine, engine, *arguments, **settings):
    """Run the agent in a process of its own; status and what it said."""
    environment = {**os.environ, **machine.environment(engine.url, **settings)}
    done = subprocess.run(
        [sys.executable, "-m", "agent", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout + done.stderr


LAB = {
    "ENJOLIVER_AGENT_INSTALL_COMMAND": """sh -c 'printf "ENJOLIVER-LAB-DISK %s\\n" $ENJOLIVER_UUID |
        dd of=$ENJOLIVER_INSTALL_DISK conv=notrunc 2>/dev/null'""",
    "ENJOLIVER_AGENT_RESTART_COMMAND": "true",
}


def test_discover_and_install_as_the_units_call_them(machine, engine):
    machine.write("etc/enjoliver/discovery", "yes")
    disk = machine.add_disk("sda", 20 * GIB)
    status, said = call(machine, engine, "discover")
    assert (status, len(engine.facts)) == (0, 1), said
    status, said = call(machine, engine, "install", **LAB)
    assert status == 0, said
    assert engine.installs == [("success", engine.attempt)]
    with disk.open("rb") as file:
        assert file.read(18) == b"ENJOLIVER-LAB-DISK"


def test_install_outside_of_the_discovery_system_is_refused(machine, engine):
    status, said = call(machine, engine, "install", **LAB)
    assert status == 2
    assert "not the discovery system" in said


def test_without_an_engine_the_verbs_say_what_is_missing(tmp_path, caplog):
    assert cli.main(["--root", str(tmp_path), "discover"]) == 2
    assert "ENJOLIVER_API_URI" in caplog.text


def test_a_setting_that_cannot_be_used_is_named(machine, engine):
    machine.install(role_config())
    status, said = call(machine, engine, "report", ENJOLIVER_REPORT_SECONDS="often")
    assert status == 2
    assert "ENJOLIVER_REPORT_SECONDS" in said


def test_facts_are_shown_and_nothing_is_sent(machine, engine):
    status, said = call(machine, engine, "facts")
    assert status == 0
    assert json.loads(said)["boot-info"]["uuid"] == machine.uuid
    assert engine.facts == []


def test_the_resident_agent_reports_serves_its_status_and_ends_in_order(machine, engine):
    machine.install(role_config())
    bind = f"127.0.0.1:{free_port()}"
    settings = {
        "ENJOLIVER_REPORT_SECONDS": "0.1",
        "ENJOLIVER_AGENT_STATUS_BIND": bind,
        "ENJOLIVER_AGENT_CHECK_SYSTEM": "no",
    }
    environment = {**os.environ, **machine.environment(engine.url, **settings)}
    process = subprocess.Popen(
        [sys.executable, "-m", "agent", "report"], env=environment, stderr=subprocess.PIPE
    )
    try:
        deadline = time.monotonic() + 120
        while len(engine.reports) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        status = json.loads(read(f"http://{bind}/status"))
        assert status["verbs"]["report"]["step"] == "up to date"
        assert "enjoliver_agent_up_to_date 1" in read(f"http://{bind}/metrics")
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said


def read(url):
    with urllib.request.urlopen(url, timeout=60) as answer:
        return answer.read().decode()


_SIGNALLED = """
import os, signal
from agent.cli import stop_soon
from agent.waits import Clock
clock = Clock()
signal.signal(signal.SIGTERM, lambda *_: stop_soon(clock))
with clock.stop._cond:  # as inside of Event.wait
    os.kill(os.getpid(), signal.SIGTERM)
assert clock.stop.wait(60)
"""


def test_a_signal_in_the_middle_of_a_wait_does_not_hang_the_agent():
    done = subprocess.run([sys.executable, "-c", _SIGNALLED], timeout=120, capture_output=True)
    assert done.returncode == 0, done.stderr


def test_a_single_report_that_was_not_taken_says_so_by_its_status(machine, engine):
    machine.install(role_config())
    once = ("report", "--once")
    assert call(machine, engine, *once)[0] == 0
    engine.is_away = True
    status, said = call(machine, engine, *once)
    assert (status, "the engine is away" in said) == (1, True)


def test_help_says_what_each_verb_does_and_how_it_ends(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert ended.value.code == 0
    assert "2 when it cannot start" in said
    assert "report what this machine is, until it has a role" in said


def test_a_taken_port_is_no_reason_to_stop(start, caplog):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        with status_page(start("report", ENJOLIVER_AGENT_STATUS_BIND=bind), Reported()):
            pass
    assert "not served" in caplog.text


def test_metrics_say_what_is_known(start):
    lines = metrics(start("report"), Reported(at=1_700_000_000.5, sent=3)).splitlines()
    assert "enjoliver_agent_last_report_timestamp_seconds 1700000000.5" in lines
    assert 'enjoliver_agent_reports_total{result="sent"} 3' in lines
    assert "enjoliver_agent_up_to_date -1" in lines
    assert lines.count("# TYPE enjoliver_agent_reports_total counter") == 1


def test_metrics_stay_readable_whatever_was_kept_and_however_long_it_ran(start):
    run = start("report")
    run.store.write("update", {"step": 'a "step"\nof\\another'})
    lines = metrics(run, Reported(sent=12_345_678)).splitlines()
    assert 'enjoliver_agent_reports_total{result="sent"} 12345678' in lines
    assert 'enjoliver_agent_update_step{step="a stepofanother"} 1' in lines


@pytest.mark.parametrize("bind", ["9879", "here:http"])
def test_a_bad_address_of_the_status_page_is_named(machine, engine, bind):
    machine.install(role_config())
    status, said = call(machine, engine, "report", ENJOLIVER_AGENT_STATUS_BIND=bind)
    assert status == 2
    assert "ENJOLIVER_AGENT_STATUS_BIND" in said
