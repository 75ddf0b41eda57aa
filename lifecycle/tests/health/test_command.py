"""The kind command: programs of one directory, without a shell, bounded in time and output."""

import json
import time
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

    def run(script, *arguments, seconds=10.0, name="check-it", mode=0o755):
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


def test_a_program_that_takes_too_long_dies_with_all_it_started(run, tmp_path):
    script = f"#!/bin/sh\nsleep 300 &\necho $! > {tmp_path}/child\necho waiting\nwait\n"
    result = run(script, seconds=1.0)
    assert result.message == "check-it took longer than 1 s: waiting"
    child = int((tmp_path / "child").read_text())
    wait_until(lambda: not _is_running(child), seconds=10, what="the child is gone")


def test_what_a_good_program_leaves_behind_dies_too(run, tmp_path):
    script = f"#!/bin/sh\nsleep 300 &\necho $! > {tmp_path}/child\necho fine\n"
    began = time.monotonic()
    assert run(script, seconds=60.0).message == "fine"
    assert time.monotonic() - began < 50
    child = int((tmp_path / "child").read_text())
    wait_until(lambda: not _is_running(child), seconds=10, what="the child is gone")


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
