"""The parts of `manage.py run`, each by itself."""

import configparser
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from celery import Celery

from enjoliver.engine.processes import beat, interrupts
from enjoliver.engine.processes.beat import SteadyScheduler
from enjoliver.engine.processes.checks import (
    configuration_problems,
    port_problems,
)
from enjoliver.engine.processes.config import RunConfig, split_address
from enjoliver.engine.processes.errors import CannotStart
from enjoliver.engine.processes.interrupts import heard, stop_signals_interrupt
from enjoliver.engine.processes.marks import (
    clear_state_dir,
    marked_processes,
    marks,
    strays,
)
from enjoliver.engine.processes.narration import LogFollower, Narrator
from enjoliver.engine.processes.programs import Program, programs
from enjoliver.engine.processes.runfile import (
    request_stop,
    run_lock,
    running_supervisor,
    write_run_file,
)
from enjoliver.engine.processes.supervisor_file import supervisor_file
from enjoliver.engine.tests.runs import wait_until
from tools.ports import free_port


def config(tmp_path, **changes):
    values = {
        "state_dir": tmp_path / "var",
        "bind": f"127.0.0.1:{free_port()}",
        "matchbox_bind": f"127.0.0.1:{free_port()}",
        "matchbox_bin": sys.executable,
        "matchbox_path": tmp_path / "matchbox",
        "assets_path": tmp_path / "assets",
        "web_workers": 2,
        "web_threads": 4,
        "log_level": "INFO",
    }
    return RunConfig(**{**values, **changes})


def sleeper(state_dir, run_id="abc", program="import time; time.sleep(600)"):
    """A process that carries the marks of a run."""
    return subprocess.Popen(
        [sys.executable, "-c", program], env={**os.environ, **marks(state_dir, run_id)}
    )


# --- checks ------------------------------------------------------------------------------------


def test_good_settings_have_no_problems(tmp_path):
    good = config(tmp_path)
    assert configuration_problems(good) == []
    assert port_problems(good) == []
    assert good.state_dir.is_dir()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"matchbox_bin": "/nowhere/matchbox"}, "ENJOLIVER_MATCHBOX_BIN"),
        ({"web_workers": 0}, "ENJOLIVER_WEB_WORKERS"),
        ({"web_threads": -1}, "ENJOLIVER_WEB_THREADS"),
        ({"state_dir": Path("/proc/none/var")}, "ENJOLIVER_STATE_DIR"),
    ],
)
def test_each_problem_of_the_settings_names_the_setting(tmp_path, changes, named):
    (problem,) = configuration_problems(config(tmp_path, **changes))
    assert named in problem


def test_matchbox_is_not_looked_for_when_it_runs_elsewhere(tmp_path):
    elsewhere = config(tmp_path, matchbox_bind=None, matchbox_bin="/nowhere/matchbox")
    assert configuration_problems(elsewhere) == []
    assert [program.name for program in programs(elsewhere)] == ["worker", "web"]


def test_a_port_that_is_listened_on_is_a_problem_and_one_that_was_is_not(tmp_path):
    with closing(socket.create_server(("127.0.0.1", free_port()))) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        (problem,) = port_problems(config(tmp_path, matchbox_bind=address))
        assert f"ENJOLIVER_MATCHBOX_BIND={address}" in problem
    assert port_problems(config(tmp_path, matchbox_bind=address)) == []


def test_an_address_of_another_machine_is_a_problem(tmp_path):
    (problem,) = port_problems(config(tmp_path, bind="192.0.2.1:5000"))
    assert "ENJOLIVER_BIND=192.0.2.1:5000" in problem


def test_engine_and_matchbox_cannot_share_a_port(tmp_path):
    port = free_port()
    same = config(tmp_path, bind=f"127.0.0.1:{port}", matchbox_bind=f"0.0.0.0:{port}")
    assert "the same port" in port_problems(same)[-1]


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("127.0.0.1:5000", ("127.0.0.1", 5000)),
        ("[::1]:80", ("::1", 80)),
        ("engine.example.test:1", ("engine.example.test", 1)),
    ],
)
def test_addresses_are_taken_apart(address, parts):
    assert split_address(address) == parts


@pytest.mark.parametrize(
    ("bind", "url"),
    [
        ("0.0.0.0:5000", "http://127.0.0.1:5000"),
        ("[::]:5000", "http://[::1]:5000"),
        ("10.1.2.3:80", "http://10.1.2.3:80"),
    ],
)
def test_the_url_of_this_machine_is_never_a_wildcard(tmp_path, bind, url):
    assert config(tmp_path, bind=bind).url == url


# --- marks and the run file --------------------------------------------------------------------


def test_only_processes_of_the_same_state_directory_are_ended(tmp_path):
    ours, other = sleeper(tmp_path / "a"), sleeper(tmp_path / "b")
    try:
        wait_until(lambda: len(marked_processes(tmp_path / "a")) == 1, "ours is found")
        assert clear_state_dir(tmp_path / "a", grace_seconds=60) == 1
        assert ours.wait(60) < 0
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_process_that_ignores_sigterm_is_killed_after_its_grace(tmp_path):
    stubborn = sleeper(
        tmp_path,
        program="import pathlib, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"pathlib.Path({str(tmp_path / 'ready')!r}).touch(); time.sleep(600)",
    )
    wait_until((tmp_path / "ready").exists, "it ignores SIGTERM")
    assert clear_state_dir(tmp_path, grace_seconds=0.2) == 1
    assert stubborn.wait(60) == -9


def test_a_process_below_the_supervisor_is_no_stray_and_one_beside_it_is(tmp_path):
    below = "[sys.executable, '-c', 'import time; time.sleep(600)']"
    program = f"import subprocess, sys; subprocess.run({below})"
    supervisor, beside = sleeper(tmp_path, program=program), sleeper(tmp_path)
    try:
        wait_until(lambda: len(marked_processes(tmp_path)) == 3, "all three run")
        assert [process.pid for process in strays(tmp_path, supervisor.pid)] == [beside.pid]
    finally:
        clear_state_dir(tmp_path, grace_seconds=0)
        supervisor.wait()
        beside.wait()


def test_the_run_file_names_a_living_supervisor_only(tmp_path):
    supervisor = sleeper(tmp_path)
    wait_until(lambda: marked_processes(tmp_path), "it carries its marks")
    write_run_file(tmp_path, supervisor.pid, "abc")
    assert running_supervisor(tmp_path) == psutil.Process(supervisor.pid)
    assert request_stop(tmp_path)
    assert supervisor.wait(60) == -15
    assert running_supervisor(tmp_path) is None
    assert not request_stop(tmp_path)


def test_a_number_that_another_process_got_later_is_not_taken_for_the_supervisor(tmp_path):
    process = sleeper(tmp_path)
    try:
        wait_until(lambda: marked_processes(tmp_path), "it carries its marks")
        write_run_file(tmp_path, process.pid, "abc")
        written = json.loads((tmp_path / "run.pid").read_text())
        written["started_ticks"] -= 1
        (tmp_path / "run.pid").write_text(json.dumps(written))
        assert running_supervisor(tmp_path) is None
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("text", ["", "17", "[]", '{"pid": 1}', "\x00\xff", '{"pid": "x"}'])
def test_a_damaged_run_file_means_that_nothing_runs(tmp_path, text):
    (tmp_path / "run.pid").write_bytes(text.encode("latin-1"))
    assert running_supervisor(tmp_path) is None


def test_the_lock_is_held_once_and_comes_free(tmp_path):
    refused = pytest.raises(CannotStart, match=f"process {os.getpid()}")
    with run_lock(tmp_path), refused, run_lock(tmp_path):
        pass
    with run_lock(tmp_path):
        pass


# --- the supervisor's file and log -------------------------------------------------------------


def test_the_supervisor_gets_every_program_and_no_listener(tmp_path):
    wanted = config(tmp_path)
    text = supervisor_file(wanted, programs(wanted), tmp_path)
    parsed = configparser.RawConfigParser()
    parsed.read_string(text)
    assert parsed.sections() == [
        "supervisord",
        "program:matchbox",
        "program:worker",
        "program:web",
    ]
    for section in parsed.sections()[1:]:
        assert parsed[section]["autorestart"] == "true"
        assert parsed[section]["killasgroup"] == "true"
        assert int(parsed[section]["stopwaitsecs"]) >= 30


def test_paths_with_spaces_and_percent_signs_survive_the_supervisors_file(tmp_path):
    state_dir = tmp_path / "100% of it's state"
    text = supervisor_file(
        config(tmp_path, state_dir=state_dir),
        [Program("one", "one", ("/bin/echo", str(state_dir)), priority=1)],
        tmp_path,
    )
    (tmp_path / "supervisord.conf").write_text(text)
    state_dir.joinpath("logs").mkdir(parents=True)
    seen = subprocess.run(
        [sys.executable, "-c", READ_BACK, str(tmp_path / "supervisord.conf")],
        cwd=state_dir,
        capture_output=True,
        text=True,
        check=True,
    )
    assert seen.stdout.splitlines() == [
        str(state_dir / "logs" / "supervisor.log"),
        str(["/bin/echo", str(state_dir)]),
    ]


READ_BACK = """
import shlex, sys
from supervisor.options import ServerOptions
options = ServerOptions()
options.realize(["--configuration", sys.argv[1]])
print(options.logfile)
print(shlex.split(options.process_group_configs[0].process_configs[0].command))
"""


def test_a_semicolon_that_would_begin_a_comment_is_refused(tmp_path):
    odd = config(tmp_path, matchbox_path=tmp_path / "a ;b")
    with pytest.raises(CannotStart, match="semicolon"):
        supervisor_file(odd, programs(odd), tmp_path)


def told(narrator, *lines):
    return [sentence for line in lines for sentence in narrator.sentences(line)]


def test_exits_and_restarts_are_told_in_plain_words(tmp_path):
    (tmp_path / "web.log").write_text("starting\nno such table\n\n")
    narrator = Narrator({"web": "the web server"}, tmp_path)
    assert told(
        narrator,
        "2026-01-01 00:00:00,000 INFO spawned: 'web' with pid 7",
        "2026-01-01 00:00:00,000 INFO success: web entered RUNNING state",
        "2026-01-01 00:00:01,000 WARN exited: web (exit status 1; not expected)",
        "2026-01-01 00:00:02,000 INFO spawned: 'web' with pid 8",
        "2026-01-01 00:00:03,000 WARN exited: web (terminated by SIGKILL; not expected)",
        "2026-01-01 00:00:04,000 WARN killing 'web' (8) with SIGKILL",
        "2026-01-01 00:00:05,000 INFO stopped: web (exit status 0)",
    ) == [
        "The web server ended by itself (exit status 1): no such table "
        f"(more in {tmp_path}/web.log)",
        "The web server was started again (process 8).",
        f"The web server ended by itself (terminated by SIGKILL); its log is {tmp_path}/web.log",
        "The web server did not stop in time and was killed.",
        "The web server has stopped.",
    ]


def test_the_log_is_followed_across_its_rotation(tmp_path):
    path = tmp_path / "supervisor.log"
    path.write_text("old\n")
    follower = LogFollower(path)
    lines: list[str] = []
    with path.open("a") as log:
        log.write("one\ntwo\nhalf")
    follower.read(lines.append)
    assert lines == ["one", "two"]
    with path.open("a") as log:
        log.write(" a line\n")
    path.rename(tmp_path / "supervisor.log.1")
    follower.read(lines.append)
    path.write_text("three\n")
    follower.read(lines.append)
    follower.close()
    assert lines == ["one", "two", "half a line", "three"]


# --- interrupts --------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_stop_signal_unwinds_and_the_former_handlers_come_back(number):
    former = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), stop_signals_interrupt():
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) is former


def test_the_same_request_handed_on_counts_once(monkeypatch):
    monkeypatch.setattr(interrupts, "_SAME_REQUEST_SECONDS", 600)
    with stop_signals_interrupt():
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_request_that_python_dropped_is_made_again(monkeypatch):
    timer: list[tuple[int, float, float]] = []
    monkeypatch.setattr(signal, "setitimer", lambda *args: timer.append(args))
    dropped: list[type[BaseException] | None] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda found: dropped.append(found.exc_type))

    class Finalised:
        def __del__(self):
            os.kill(os.getpid(), signal.SIGTERM)

    with stop_signals_interrupt():
        Finalised()
        assert dropped == [KeyboardInterrupt]
        assert timer == [(signal.ITIMER_REAL, 2.0, 2.0)]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGALRM)  # the timer, but not in the middle of a test


def test_a_request_that_was_heard_is_not_made_again(monkeypatch):
    monkeypatch.setattr(interrupts, "_SAME_REQUEST_SECONDS", 600)
    with stop_signals_interrupt():
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 600
        heard()
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


# --- beat --------------------------------------------------------------------------------------


class Clock:
    """Stands for the `time` module in beat's own code."""

    def __init__(self):
        self.step = 0.0

    def time(self):
        return time.time() + self.step

    def monotonic(self):
        return time.monotonic()


def scheduler_with(monkeypatch, **periods):
    clock = Clock()
    monkeypatch.setattr(beat, "time", clock)
    app = Celery("test", broker="memory://", set_as_current=False)
    app.conf.beat_schedule = {
        name: {"task": name, "schedule": timedelta(seconds=seconds)}
        for name, seconds in periods.items()
    }
    scheduler = SteadyScheduler(app=app)
    sent = []
    monkeypatch.setattr(scheduler, "apply_async", lambda entry, **_: sent.append(entry.name))
    return scheduler, clock, sent


def tick_until_idle(scheduler):
    """Send what is due; the seconds until the next look."""
    while not (pause := scheduler.tick()):
        pass
    return pause


def test_beat_begins_with_everything(monkeypatch):
    scheduler, _, sent = scheduler_with(monkeypatch, often=250, seldom=3600)
    assert 0 < tick_until_idle(scheduler) <= 250
    assert sorted(name for name in sent if name in ("often", "seldom")) == ["often", "seldom"]


def test_a_steady_clock_sends_nothing_twice(monkeypatch):
    scheduler, _, sent = scheduler_with(monkeypatch, often=250, seldom=3600)
    tick_until_idle(scheduler)
    sent.clear()
    assert tick_until_idle(scheduler) > 0
    assert sent == []


def test_a_clock_set_back_does_not_silence_beat(monkeypatch):
    scheduler, clock, sent = scheduler_with(monkeypatch, often=250, seldom=3600)
    tick_until_idle(scheduler)
    sent.clear()
    clock.step = -3600
    assert 0 < tick_until_idle(scheduler) <= 250
    assert {"often", "seldom"} <= set(sent)
    sent.clear()
    tick_until_idle(scheduler)
    assert sent == []
