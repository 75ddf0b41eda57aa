"""Set-up, Makefile and the test runner: what they promise."""

import itertools
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tools import set_up, steps, system_packages
from tools.check_links import broken_links
from tools.go_programs import BUTANE, IGNITION, MATCHBOX, MINIMUM_GO, go_version
from tools.only_database import touches_database
from tools.openapi import differences
from tools.ports import hold_port, port_of
from tools.run_tests import summary_of
from tools.steps import ROOT, StepFailed, fingerprint, is_done, mark_done
from tools.system_packages import Need

pytest_plugins = ["pytester"]

REQUIREMENTS = [*sorted(ROOT.glob("requirements*.txt")), ROOT / "tools/go/requirements.txt"]
PINNED = re.compile(r"^([A-Za-z0-9_.-]+)(?:\[[a-z,]+\])?==([0-9][0-9A-Za-z.]*)$")


def lines(path):
    """The lines of a requirements file that say something, without their comments."""
    stripped = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    return [line for line in stripped if line and not line.startswith("-r ")]


def pins(path):
    """Name and version of each package of a file; names as the index compares them."""
    found = [pair for line in lines(path) for pair in PINNED.findall(line)]
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


def match(pattern, text):
    """The groups of a pattern that must be there."""
    found = re.search(pattern, text, re.MULTILINE)
    assert found, f"not found: {pattern}"
    return found.groups()


@pytest.mark.parametrize("path", [*REQUIREMENTS, ROOT / "constraints.txt"], ids=lambda p: p.name)
def test_every_requirement_is_pinned(path):
    assert all(PINNED.match(line) for line in lines(path))


def test_the_constraints_fix_every_direct_dependency_at_the_same_version():
    fixed = pins(ROOT / "constraints.txt")
    for path in ROOT.glob("requirements*.txt"):
        assert pins(path).items() <= fixed.items()


def test_every_target_of_the_makefile_is_explained_and_phony():
    text = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z][a-z-]*):", text, re.MULTILINE))
    explained = set(re.findall(r"^([a-z][a-z-]*):.*## \S", text, re.MULTILINE))
    (phony,) = match(r"^\.PHONY: ((?:.*\\\n)*.*)$", text)
    (checks,) = match(r"^CHECKS := (.*)$", text)
    assert targets == explained
    assert targets == set(phony.replace("\\\n", " ").replace("$(CHECKS)", checks).split())


def test_ci_runs_the_makefiles_targets():
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", script], check=True)
    for target in ("setup-test", "check", "test"):
        assert re.search(rf"make {target}$", script.read_text(), re.MULTILINE)


def test_the_go_modules_ask_for_no_newer_go_than_set_up_looks_for():
    for program in (MATCHBOX, BUTANE, IGNITION):
        text = (program.module_dir / "go.mod").read_text()
        major, minor = match(r"^go (\d+)\.(\d+)", text)
        assert (int(major), int(minor)) <= MINIMUM_GO


def test_the_versions_that_the_programs_say_are_those_of_their_modules():
    for program, module in (
        (MATCHBOX, "github.com/poseidon/matchbox"),
        (BUTANE, "github.com/coreos/butane"),
        (IGNITION, "github.com/coreos/ignition/v2"),
    ):
        said = program.variables[0].partition("=")[2]
        assert f"{module} {said} " in (program.module_dir / "go.mod").read_text()


def test_butane_is_the_version_that_matchbox_renders_with():
    texts = [(program.module_dir / "go.mod").read_text() for program in (MATCHBOX, BUTANE)]
    assert len({match(r"github\.com/coreos/butane (v[0-9.]+)", text) for text in texts}) == 1


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("said", "version"),
    [("go1.26.8", (1, 26)), ("go1.24rc1", (1, 24)), ("devel +abc", None), ("", None)],
)
def test_the_version_of_go_is_read(tmp_path, said, version):
    assert go_version(script(tmp_path / "go", f"echo '{said}'")) == version


def test_a_go_that_fails_has_no_version(tmp_path):
    assert go_version(script(tmp_path / "go", "exit 1")) is None
    assert go_version(str(tmp_path / "none")) is None


def test_a_step_is_done_for_its_key_only(tmp_path, monkeypatch):
    monkeypatch.setattr(steps, "CACHE", tmp_path)
    file = tmp_path / "input"
    file.write_text("one")
    key = fingerprint([file, "flags"])
    assert not is_done("step", key)
    mark_done("step", key)
    assert is_done("step", key)
    file.write_text("two")
    assert not is_done("step", fingerprint([file, "flags"]))
    assert fingerprint(["ab", "c"]) != fingerprint(["a", "bc"])


def test_a_failed_step_shows_its_last_lines_and_what_to_do():
    command = [sys.executable, "-c", "print('no room left'); raise SystemExit(1)"]
    with pytest.raises(StepFailed, match=r"(?s)no room left\nFree some space\."):
        steps.run(command, advice="Free some space.")


def test_what_fetches_something_is_tried_again(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(steps, "RETRY_SECONDS", 0)
    log = tmp_path / "log"
    command = ["sh", "-c", f"echo try >>{log}; echo no way; test $(wc -l <{log}) = 3"]
    with pytest.raises(StepFailed, match="no way"):
        steps.run(command, advice="", tries=2)
    steps.run(command, advice="", tries=2)
    assert log.read_text().count("try") == 3
    assert capsys.readouterr().out.count("That did not work (no way); again") == 1


@pytest.fixture
def apt(tmp_path, monkeypatch):
    """Stands for apt-get: notes how it was called. The list of calls."""
    calls = tmp_path / "calls"
    calls.touch()
    for name in ("apt-get", "install", "rm", "systemctl"):
        script(tmp_path / name, f'echo {name} "$@" >> {calls}')
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(system_packages, "_POLICY", tmp_path / "policy-rc.d")
    monkeypatch.setattr(system_packages, "_SYSTEMD", tmp_path)
    return lambda: calls.read_text().splitlines()


def test_apt_is_not_asked_when_nothing_is_missing(apt):
    system_packages.install_missing([Need("there", "for a test", lambda: True)])
    assert apt() == []


def test_what_is_missing_is_installed_and_its_service_stays_off(apt, tmp_path):
    there = Need("there", "for a test", lambda: True)
    missing = Need("database", "for a test", lambda: False, services=("database",))
    system_packages.install_missing([there, missing])
    forbid, update, install, allow, disable = apt()
    assert forbid.endswith(str(tmp_path / "policy-rc.d"))
    assert update.endswith(" update")
    assert install.endswith(" install --yes --no-install-recommends database")
    assert allow == f"rm --force {tmp_path / 'policy-rc.d'}"
    assert disable == "systemctl disable --now database"


def test_a_machine_without_apt_is_told_what_is_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StepFailed, match="redis-server"):
        system_packages.install_missing([Need("redis-server", "for a test", lambda: False)])


def test_a_user_without_sudo_is_told_what_to_have_run(apt, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(StepFailed, match="apt-get install --no-install-recommends gcc"):
        system_packages.install_missing([Need("gcc", "for a test", lambda: False)])


def test_set_up_says_how_it_is_used(capsys):
    assert set_up.main(["everything"]) == 2
    assert "run|test" in capsys.readouterr().out


def test_each_part_of_set_up_has_all_of_the_ones_before(monkeypatch):
    asked = {}
    monkeypatch.setattr(set_up, "make_venv", lambda: None)
    monkeypatch.setattr(set_up, "install_python_packages", lambda part: None)
    for part in set_up.PARTS:
        monkeypatch.setattr(
            set_up, "install_missing", lambda needs, part=part: asked.update({part: needs})
        )
        monkeypatch.setattr(set_up, "build", lambda programs: None)
        set_up.set_up(part)
    names = [[need.package for need in asked[part]] for part in set_up.PARTS]
    for smaller, larger in itertools.pairwise(names):
        assert larger[: len(smaller)] == smaller
        assert len(larger) > len(smaller)
    assert len(set(names[-1])) == len(names[-1])


def test_a_failed_set_up_ends_with_the_advice(capsys, monkeypatch):
    def fail(needs):
        raise StepFailed("No way to the mirror.")

    monkeypatch.setattr(set_up, "install_missing", fail)
    assert set_up.main(["run"]) == 1
    assert "Set-up stopped.\nNo way to the mirror." in capsys.readouterr().out


def test_a_held_port_is_a_servers_as_often_as_it_comes_and_nobody_else_answers_there():
    with hold_port() as holder:
        port = port_of(holder)
        for _ in range(2):
            with (
                socket.create_server(("127.0.0.1", port)) as server,
                socket.create_connection(("127.0.0.1", port)),
            ):
                server.accept()[0].close()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port))


def test_only_relative_links_that_lead_nowhere_are_broken(tmp_path):
    (tmp_path / "there.md").touch()
    page = tmp_path / "page.md"
    page.write_text("[a](there.md#part) [b](gone.md) [c](https://x.test/y) [d](#here) [e](/ui)")
    assert list(broken_links(page)) == ["gone.md"]


def test_a_difference_of_the_openapi_document_is_shown():
    assert differences("same\n", "same\n") == ""
    assert "+new" in differences("old\n", "new\n")


@pytest.mark.parametrize(
    ("line", "is_summary"),
    [
        ("===== 12 passed in 3.04s =====", True),
        ("===== 1 failed, 12 passed, 3 deselected in 61.04s (0:01:01) =====", True),
        ("\x1b[32m===== \x1b[1m12 passed\x1b[0m\x1b[32m in 3.04s =====\x1b[0m", True),
        ("3 failed, 11 passed, 40 deselected in 71.17s (0:01:11)", True),
        ("===== no tests ran in 0.01s =====", True),
        ("===== FAILURES =====", False),
        ("waited in 3.04s", False),
        ("tests/test_tooling.py ....", False),
    ],
)
def test_pytests_summary_is_recognised(line, is_summary):
    assert bool(summary_of(line)) is is_summary


def test_on_postgresql_only_what_touches_the_database_runs_again(pytester):
    items = pytester.getitems(
        """
        import pytest
        from django.test import TestCase

        def test_pure(): ...
        def test_fixture(db): ...
        @pytest.mark.django_db
        def test_marker(): ...
        @pytest.mark.e2e
        def test_engine(): ...
        @pytest.mark.e2e
        @pytest.mark.once
        def test_signal(): ...
        class TestDjangos(TestCase):
            def test_case(self): ...
        """
    )
    kept = {item.name for item in items if touches_database(item)}
    assert kept == {"test_fixture", "test_marker", "test_engine", "test_case"}


def test_no_file_names_a_package_mirror():
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    hosts = re.compile(rb"files\.pythonhosted|--(?:extra-)?index-url|GOPROXY=|pypi\.org/simple")
    found = [
        name
        for name in listed
        if name != Path(__file__).relative_to(ROOT).as_posix()
        and (ROOT / name).is_file()
        and hosts.search((ROOT / name).read_bytes())
    ]
    assert found == []
