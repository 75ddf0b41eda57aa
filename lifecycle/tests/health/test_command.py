"""The kind command: programs of one directory, without a shell, bounded in time and output."""

import json
import os
from pathlib import Path

import pytest

from enjoliver.common.polling import wait_until
from lifecycle.health import check_config


@pytest.fixture
def commands(tmp_path):
    folder = tmp_path / "commands"
    folder.mkdir(mode=0o755)
    return folder


@pytest.fixture
def run(check, commands):
    """Write a program and check by it."""

    def run(script, *arguments, seconds=60.0, name="check-it", mode=0o755):
        path = commands / name
        path.write_text(script)
        path.chmod(mode)
        config = {"command": [name, *arguments]}
        return check("command", config, seconds=seconds, commands=commands)

    return run


def test_exit_code_0_is_good_and_the_last_line_is_the_message(run):
    result = run("#!/bin/sh\necho first\necho HEALTH_OK\necho\n")
    assert (result.is_good, result.message) == (True, "HEALTH_OK")


def test_another_exit_code_is_bad(run):
    result = run("#!/bin/sh\necho 3 osds down >&2\nexit 2\n")
    assert result.message == "check-it ended with exit code 2: 3 osds down"
    assert run("#!/bin/sh\nkill -9 $$\n").message == "check-it ended with signal 9"


def test_arguments_reach_the_program_as_they_are(run):
    result = run('#!/bin/sh\necho "$# $1"\n', "$(id); *", "b")
    assert result.message == "2 $(id); *"


def test_its_environment_holds_nothing_of_the_engines(run, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgres://user:password@host/name")
    script = (
        "#!/usr/bin/python3\nimport json, os\nprint(json.dumps([dict(os.environ), os.getcwd()]))\n"
    )
    environment, folder = json.loads(run(script).message)
    assert set(environment) <= {"PATH", "LANG", "LC_CTYPE", "ENJOLIVER_POLICY", "ENJOLIVER_GATE"}
    assert environment["ENJOLIVER_POLICY"] == "workers"
    assert folder == "/"


@pytest.fixture
def watch_when(monkeypatch):
    """Let the watch over a program begin only when it has come so far, however slowly."""

    def set_condition(condition):
        def open_late(pid):
            wait_until(lambda: condition(pid), seconds=120, what="the program has come so far")
            return real(pid)

        real = os.pidfd_open
        monkeypatch.setattr(os, "pidfd_open", open_late)

    return set_condition


def test_a_program_that_takes_too_long_dies_with_all_it_started(run, tmp_path, watch_when):
    child = tmp_path / "child"
    watch_when(lambda pid: child.exists() and child.read_text().endswith("\n"))
    result = run(f"#!/bin/sh\nsleep 3600 &\necho waiting\necho $! > {child}\nwait\n", seconds=1.0)
    assert result.message == "check-it took longer than 1 s: waiting"
    wait_until(lambda: not _is_running(int(child.read_text())), seconds=60, what="it is gone")


def test_what_a_good_program_leaves_behind_dies_too_and_is_not_waited_for(run, tmp_path):
    child = tmp_path / "child"
    script = f"#!/bin/sh\nsleep 3600 &\necho $! > {child}\necho fine\n"
    assert run(script).message == "fine"
    wait_until(lambda: not _is_running(int(child.read_text())), seconds=60, what="it is gone")


def test_who_leaves_the_session_and_holds_the_output_open_is_not_waited_for(run, tmp_path):
    child = tmp_path / "child"
    script = f"#!/bin/sh\necho fine\nsetsid sleep 3600 &\necho $! > {child}\n"
    try:
        assert run(script).message == "fine"
    finally:
        os.kill(int(child.read_text()), 9)


def test_the_last_words_are_known_however_late_they_are_read(run, watch_when):
    watch_when(lambda pid: not _is_running(pid))
    script = "#!/bin/sh\nhead -c 60000 /dev/zero | tr '\\0' 'x'\necho\necho the end\n"
    assert run(script).message == "the end"


def _is_running(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_flood_of_output_is_not_kept(run):
    result = run("#!/bin/sh\nhead -c 5000000 /dev/zero | tr '\\0' 'x'\n")
    assert result.is_good
    assert len(result.message) <= 400


def test_commands_are_off_without_a_directory(check):
    result = check("command", {"command": ["true"]})
    assert result.message == "commands are off: ENJOLIVER_GATE_COMMANDS names no directory"


def test_what_is_no_program_of_the_directory_is_not_run(run, check, commands):
    assert "is no program" in run("#!/bin/sh\n", mode=0o644).message
    (commands / "folder").mkdir()
    config = {"command": ["folder"]}
    assert "is no program" in check("command", config, commands=commands).message
    config = {"command": ["missing"]}
    assert "there is no program" in check("command", config, commands=commands).message
    assert "cannot be started" in run("no format that the kernel knows").message


def test_what_everybody_can_write_is_not_run(run, commands):
    assert "everybody can write" in run("#!/bin/sh\n", mode=0o757).message
    commands.chmod(0o777)
    assert "everybody can write" in run("#!/bin/sh\n").message


@pytest.mark.parametrize(
    "command",
    [
        "check-it --all",
        [],
        ["/bin/sh", "-c", "id"],
        ["../sh"],
        [".hidden"],
        ["check it"],
        ["check", 5],
        ["check", "a\0b"],
        ["check", "x" * 1001],
        ["check"] * 51,
    ],
)
def test_only_a_list_with_a_plain_name_first_is_a_command(command):
    assert list(check_config("command", {"command": command})) == ["command"]
