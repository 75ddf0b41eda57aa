"""Membership: the last good copy is kept, whatever the engine answers or does not."""

import json
import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.environment import read_environment
from agent.membership import Membership, membership_kept
from agent.metadata import (
    COUNT,
    MEMBERS,
    MEMBERSHIP_KEYS,
    NAMES,
    BadMembership,
    as_environment,
    read_membership,
)
from agent.tests.engines import FakeEngine, metadata, role_config
from agent.tests.killing import Guillotine, Killed, dying_run
from agent.tests.machines import MAC, UUID, FakeMachine
from agent.tests.test_progress import wait_until

THREE = ("10.64.0.11", "10.64.0.12", "10.64.0.13")
DISCOVERY = b"API_URI=http://engine\nEXTRA_SELECTORS=os=installed\nPROFILE=discovery\n"


class Scene:
    """An installed machine and its engine."""

    def __init__(self, folder, *, at=None):
        self.machine, self.engine = FakeMachine(folder), FakeEngine()
        self.machine.install(role_config())
        self.guillotine = Guillotine(at)
        self.file = folder / "run/enjoliver/membership.env"
        self.calls = folder / "hook-calls"
        self.fails = folder / "hook-fails"
        self.membership = self.restarted()

    def restarted(self):
        """The agent's process starts again."""
        run = dying_run("report", self.machine, self.engine, self.guillotine)
        self.membership = Membership.of(run)
        return self.membership

    def add_hook(self):
        hook = self.machine.write(
            "etc/enjoliver/hooks/membership.d/10-balancer",
            f"#!/bin/sh\n. $ENJOLIVER_MEMBERSHIP_FILE\necho ${MEMBERS} >> {self.calls}\n"
            f"test ! -e {self.fails} || exit 1\n",
        )
        hook.chmod(0o755)

    def called(self):
        return self.calls.read_text().splitlines() if self.calls.exists() else []

    def says(self):
        found = self.membership.run.store.read("status-membership")
        return found["step"], found["reason"]

    def members(self):
        return read_environment(self.file.read_text())[MEMBERS]


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path)


def test_the_membership_is_written_for_others_to_read(scene):
    assert scene.membership.refresh()
    assert set(read_environment(scene.file.read_text())) == MEMBERSHIP_KEYS
    assert scene.members() == "10.64.0.11"
    assert oct(scene.file.stat().st_mode)[-3:] == "644"
    assert scene.says() == ("current", "the control plane has 1 machines")


def test_the_file_is_touched_only_when_the_membership_changed(scene):
    scene.membership.refresh()
    before = scene.file.stat()
    for _ in range(3):
        assert scene.membership.refresh()
    scene.engine.metadata = metadata(NTP="another")
    assert scene.membership.refresh()
    assert (scene.file.stat().st_ino, scene.file.stat().st_mtime_ns) == (
        before.st_ino,
        before.st_mtime_ns,
    )
    scene.engine.metadata = metadata(THREE)
    assert scene.membership.refresh()
    assert scene.members() == ",".join(THREE)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "values of no machine"),
        (DISCOVERY, "values of no machine"),
        (metadata(uuid="00000000-1111-2222-3333-444444444444"), "another machine"),
        (metadata(mac="52:54:00:00:00:99"), "another machine"),
        (metadata(VAULT_IP_LIST=None), "lacks VAULT_IP_LIST"),
        (metadata(()), "cannot be used"),
        (metadata(("10.64.0.300",)), "10.64.0.300"),
        (metadata(KUBERNETES_APISERVER_COUNT="0"), COUNT),
        (metadata(KUBERNETES_APISERVER_URI_LIST='https://x"; reboot; "'), "cannot be used"),
        (metadata() + b"VAULT_IP_LIST=10.9.9.9\n", "twice"),
        (b"<html>gateway</html>", "KEY=value"),
        (metadata(FLEET_ETCD_INITIAL_CLUSTER="<no value>"), "cannot be used"),
    ],
)
def test_no_bad_answer_replaces_a_good_copy(scene, answer, words):
    scene.membership.refresh()
    good = scene.file.read_bytes()
    scene.engine.metadata = answer
    assert not scene.membership.refresh()
    step, reason = scene.says()
    assert step == "refused"
    assert words in reason
    assert scene.file.read_bytes() == good
    assert scene.restarted().restore() == good


def test_without_a_good_copy_a_bad_answer_writes_nothing(scene):
    scene.engine.metadata = DISCOVERY
    assert not scene.membership.refresh()
    assert not scene.file.exists()


def test_the_copy_serves_while_the_engine_is_away_also_after_a_restart(scene):
    scene.membership.refresh()
    good = scene.file.read_bytes()
    scene.engine.is_away = True
    scene.machine.power_cycle()
    scene.file.unlink()
    assert not scene.restarted().refresh()
    assert scene.file.read_bytes() == good
    assert scene.says()[0] == "waiting"
    scene.engine.is_away = False
    assert scene.membership.refresh()


def test_what_did_not_change_is_not_sent_again(scene):
    scene.membership.refresh()
    etag = scene.membership.etag
    assert etag
    scene.membership.refresh()
    assert scene.membership.run.engine.fetch_metadata("os=installed", etag) == (None, etag)
    scene.membership.run.store.forget("membership")
    assert scene.membership.refresh()


def test_hooks_run_at_a_change_and_once_in_each_boot(scene):
    scene.add_hook()
    for _ in range(3):
        scene.membership.refresh()
    assert scene.called() == ["10.64.0.11"]
    scene.engine.metadata = metadata(THREE)
    scene.membership.refresh()
    scene.restarted().refresh()
    assert scene.called() == ["10.64.0.11", ",".join(THREE)]
    scene.machine.power_cycle()
    scene.restarted().refresh()
    assert scene.called()[2:] == [",".join(THREE)]


def test_a_hook_that_failed_runs_again_and_its_failure_is_said(scene):
    scene.add_hook()
    scene.fails.touch()
    assert not scene.membership.refresh()
    assert scene.says()[0] == "failed"
    assert "10-balancer" in scene.says()[1]
    assert scene.members() == "10.64.0.11"
    scene.fails.unlink()
    assert scene.membership.refresh()
    assert len(scene.called()) == 2


def test_a_folder_that_cannot_be_written_is_said(scene):
    scene.machine.write("run/enjoliver", "a file")
    assert not scene.membership.refresh()
    assert scene.says()[0] == "failed"


def test_killed_anywhere_it_ends_with_the_new_membership_and_its_hooks_run(
    tmp_path_factory, quick_disk
):
    whole = Scene(tmp_path_factory.mktemp("whole"))
    whole.add_hook()
    whole.membership.refresh()
    assert whole.guillotine.passed > 5
    for at in range(whole.guillotine.passed):
        scene = Scene(tmp_path_factory.mktemp("killed"), at=at)
        scene.add_hook()
        with pytest.raises(Killed):
            scene.membership.refresh()
        assert scene.restarted().refresh(), at
        assert scene.members() == "10.64.0.11"
        assert scene.called()[-1] == "10.64.0.11"
        assert not list(scene.file.parent.glob(".*"))


def test_the_resident_agent_keeps_it_beside_its_reports(machine, start, engine):
    machine.install(role_config())
    run = start("report", ENJOLIVER_AGENT_MEMBERSHIP_SECONDS="0.05")
    file = machine.root / "run/enjoliver/membership.env"
    with membership_kept(run):
        wait_until(file.exists)
        engine.metadata = metadata(THREE)
        wait_until(lambda: read_environment(file.read_text())[COUNT] == "3")
        run.clock.stop.set()


# --- pure ----------------------------------------------------------------------------------------
@given(st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cc", "Cs", "Zl", "Zp"])))
def test_any_name_comes_out_as_it_went_in(name):
    kept = read_membership(metadata(names=name).decode(), uuid=UUID.upper(), mac=MAC)
    written = as_environment({NAMES: kept[NAMES]}).decode()
    assert shlex.split(written) == [f"{NAMES}={name}"]


def test_a_shell_reads_hostile_names_as_text(tmp_path):
    names = "a$(touch x)`touch y`\"\\ 'b;$HOME"
    file = tmp_path / "membership.env"
    file.write_bytes(as_environment({NAMES: names}))
    script = f'. {file}; printf %s "${NAMES}"'
    said = subprocess.run(["sh", "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert said.stdout == names
    assert [path.name for path in tmp_path.iterdir()] == ["membership.env"]


@given(st.text() | st.lists(st.sampled_from(sorted(MEMBERSHIP_KEYS))).map("=\n".join))
def test_any_answer_is_read_or_refused(text):
    with pytest.raises(BadMembership):
        read_membership(text, uuid=UUID, mac=MAC)


def test_the_state_of_another_version_counts_as_none(scene):
    scene.membership.run.store.write("membership", {"members": ["10.0.0.1"], MEMBERS: 7})
    assert scene.membership.restore() is None
    assert json.loads((scene.membership.run.store.folder / "membership.json").read_text())
