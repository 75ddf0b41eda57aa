"""Install: one disk, once, whatever happens in between."""

import errno
import shutil
import threading
import time

import pytest

from agent.engine import Grant
from agent.install import Installer
from agent.platforms.base import PlatformFailed
from agent.platforms.lab import MARK
from agent.progress import Word
from agent.tests.engines import FakeEngine, role_config
from agent.tests.killing import FakePlatform, Guillotine, Killed, dying_run
from agent.tests.machines import GIB, UUID, FakeMachine, ScriptedClock
from agent.tests.test_progress import wait_until
from agent.waits import Stopped

DATA = b"XFSB precious".ljust(4096, b"!")


class Scene:
    """A machine with an empty system disk and a data disk that is smaller, and its engine."""

    def __init__(self, folder, *, at=None):
        self.machine, self.engine = FakeMachine(folder), FakeEngine()
        self.guillotine = Guillotine(at)
        self.platform = FakePlatform(self.machine, self.guillotine)
        self.system = self.machine.add_disk("sda", 20 * GIB)
        self.data = self.machine.add_disk("sdb", 10 * GIB, content=DATA)

    def installer(self, **settings):
        run = dying_run("install", self.machine, self.engine, self.guillotine, **settings)
        return Installer(run, self.platform)

    def written(self):
        with self.system.open("rb") as file:
            mark = file.read(len(MARK) + len(UUID))
            file.seek(4096)
            return mark, file.read(len(self.engine.config))

    def status(self):
        return self.installer().run.store.read("status-install")

    def assert_installed(self):
        assert self.written() == (MARK + UUID.encode(), self.engine.config)
        assert self.engine.installs[-1] == ("success", self.engine.attempt)
        assert all(outcome == "success" for outcome, _ in self.engine.installs)
        assert self.platform.restarts[-1] == "reboot"
        with self.data.open("rb") as file:
            assert file.read(4096) == DATA


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path)


def test_it_installs_once_reports_with_its_attempt_and_reboots(scene):
    assert scene.installer().work()
    scene.assert_installed()
    assert scene.platform.installs == [scene.system]
    assert scene.engine.installs == [("success", scene.engine.attempt)]


def test_it_waits_for_role_sync_config_and_gate_and_says_why(scene):
    engine, reasons = scene.engine, []
    own = engine.config
    engine.roles, engine.is_synced, engine.waits_at_gate = [], False, 2
    engine.config = role_config(is_discovery=True)

    def next_one():
        reasons.append(installer.run.store.read("status-install")["reason"])
        if not engine.roles:
            engine.roles = ["kubernetes-node"]
        elif not engine.is_synced:
            engine.is_synced = True
        else:
            engine.config = own

    installer = scene.installer(in_pause=next_one)
    assert installer.work()
    assert "no role" in reasons[0]
    assert "sync" in reasons[1]
    assert "discovery" in reasons[2]
    assert "Locked by another" in reasons[3]
    scene.assert_installed()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (role_config(is_discovery=True), "discovery system"),
        (role_config(uuid="00000000-1111-2222-3333-444444444444"), "ENJOLIVER_UUID"),
        (role_config(mac="52:54:00:00:00:99"), "ENJOLIVER_BOOT_MAC"),
        (role_config(role="etcd-member,kubernetes-control-plane"), "its roles are"),
        (b"<html>", "no Ignition config"),
        (b'{"ignition":{"version":"2.0.0"}}', "not 3.x"),
    ],
)
def test_a_config_that_is_not_its_own_is_refused(scene, config, words):
    scene.engine.config = config
    with pytest.raises(Stopped):
        scene.installer(pauses=3).work()
    assert words in scene.status()["reason"]
    assert scene.platform.installs == []
    assert "GET /install-authorization" not in scene.engine.asked


def test_a_machine_with_data_disks_only_reports_the_failure_and_touches_none(scene):
    with scene.system.open("r+b") as file:
        file.seek(512)
        file.write(b"EFI PART")
    with pytest.raises(Stopped):
        scene.installer(pauses=0).work()
    assert scene.engine.installs == [("fail", scene.engine.attempt)]
    assert "carries data" in scene.status()["reason"]
    assert scene.platform.installs == []


def test_a_failed_installer_is_reported_and_tried_again_later(scene):
    scene.platform.is_broken = True
    installer = scene.installer()
    installer.run.clock = ScriptedClock(lambda: setattr(scene.platform, "is_broken", False))
    assert installer.work()
    assert [outcome for outcome, _ in scene.engine.installs] == ["fail", "success"]


# --- keeping the gate ----------------------------------------------------------------------------


def write_long(scene, is_enough):
    """Make the platform's installer take until `is_enough()`."""
    whole = scene.platform.install

    def install(*arguments):
        deadline = time.monotonic() + 120
        while not is_enough():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        whole(*arguments)

    scene.platform.install = install


def test_a_long_install_says_that_it_goes_on_and_stops_saying_so(scene, monkeypatch):
    monkeypatch.setattr("agent.gate.UNTOLD_SECONDS", 0.03)
    write_long(scene, lambda: len(scene.engine.renewed) >= 3)
    assert scene.installer().work()
    scene.assert_installed()
    assert set(scene.engine.renewed) == {scene.engine.attempt}
    assert scene.engine.installs == [("success", scene.engine.attempt)]
    # The install waits a moment only for it, so that a late one costs the machine no time.
    wait_until(lambda: not [one for one in threading.enumerate() if one.name == "gate"])


def test_a_grant_that_was_given_on_ends_the_saying_and_not_the_install(scene, monkeypatch, caplog):
    monkeypatch.setattr("agent.gate.UNTOLD_SECONDS", 0.03)
    scene.engine.is_grant_ended = True
    write_long(scene, lambda: "the install goes on" in caplog.text)
    assert scene.installer().work()
    scene.assert_installed()
    assert scene.engine.renewed == [scene.engine.attempt]


def test_an_engine_that_is_away_is_told_when_it_is_back(scene, monkeypatch):
    monkeypatch.setattr("agent.gate.UNTOLD_SECONDS", 0.03)
    asked = scene.engine.asked

    def is_enough():
        scene.engine.is_away = asked["GET /install-authorization"] < 4
        return bool(scene.engine.renewed) and not scene.engine.is_away

    write_long(scene, is_enough)
    assert scene.installer().work()
    scene.assert_installed()


def test_the_silence_allowed_is_the_engines_word(start, engine):
    engine.grant_seconds = 90
    grant = start("install").engine.ask_gate("mac=52-54-00-00-00-01")
    assert grant == Grant(engine.attempt, 90.0)


def install_of(uuid):
    return MARK + uuid.encode() + b"\n"


def put(path, data):
    with path.open("r+b") as file:
        file.write(data)


def test_a_reinstall_overwrites_its_own_install_only_when_the_engine_wants_it(scene):
    put(scene.system, install_of(UUID))
    scene.engine.boots_disk = True
    with pytest.raises(Stopped):
        scene.installer(pauses=0).work()
    assert "did not ask" in scene.status()["reason"]
    assert scene.platform.installs == []
    scene.engine.boots_disk = False
    assert scene.installer().work()
    assert scene.platform.installs == [scene.system]


def test_another_machines_install_is_never_overwritten(scene):
    put(scene.system, install_of("00000000-1111-2222-3333-444444444444"))
    with pytest.raises(Stopped):
        scene.installer(pauses=0).work()
    assert scene.platform.installs == []


@pytest.mark.parametrize("answer", [b"", b"<html>sign in</html>", b'{"kind": "odd"}'])
def test_only_a_boot_script_says_that_a_reinstall_is_wanted(scene, answer):
    """A 200 of anybody else must not cost the machine its install."""
    put(scene.system, install_of(UUID))
    whole = scene.engine.answer

    def lying(method, path, body, headers):
        if path.startswith("/ipxe"):
            return 200, answer, {}
        return whole(method, path, body, headers)

    scene.engine.answer = lying
    with pytest.raises(Stopped):
        scene.installer(pauses=3).work()
    assert "is not known" in scene.status()["reason"]
    assert scene.platform.installs == []


def test_a_disk_that_changed_while_the_engine_was_asked_is_not_written_to(scene):
    """Names may change hands while the engine is away for hours."""
    put(scene.system, install_of(UUID))
    whole = scene.engine.answer

    def late(method, path, body, headers):
        if path.startswith("/ipxe"):
            put(scene.system, DATA)
        return whole(method, path, body, headers)

    scene.engine.answer = late
    with pytest.raises(Stopped):
        scene.installer(pauses=0).work()
    assert scene.platform.installs == []
    with scene.system.open("rb") as file:
        assert file.read(4096) == DATA


def test_two_processes_never_install_at_once(scene):
    first, second = scene.installer(), scene.installer(pauses=2)
    with first.run.store.locked("install.lock"), pytest.raises(Stopped):
        second.work()
    assert "another process" in scene.status()["reason"]
    assert "GET /install-authorization" not in scene.engine.asked
    assert scene.installer().work()


def test_told_to_end_in_the_installer_it_reports_nothing_and_installs_again(scene):
    """systemd ends the installer together with the agent: that is no failure of the disk."""
    installer = scene.installer()

    def ended(*arguments):
        installer.run.clock.stop.set()
        raise PlatformFailed("status -15")

    whole, scene.platform.install = scene.platform.install, ended
    with pytest.raises(Stopped):
        installer.work()
    assert scene.engine.installs == []
    scene.platform.install = whole
    assert scene.installer().work()
    scene.assert_installed()


def test_a_state_that_cannot_be_kept_is_said_and_tried_again(scene):
    installer = scene.installer()
    whole = installer.run.store.write_bytes
    said: list[str] = []

    def full(name, data):
        if name == "install.ign" and not said:
            said.append(name)
            raise OSError(errno.ENOSPC, "No space left on device")
        whole(name, data)

    installer.run.store.write_bytes = full
    told: list[Word] = []
    installer.run.journal._tell = told.append
    assert installer.work()
    assert "its state cannot be kept (No space left on device)" in {one.reason for one in told}
    scene.assert_installed()


def test_it_reports_until_the_engine_is_back(scene):
    def come_back():
        scene.engine.is_away = False

    installer = scene.installer(in_pause=come_back)
    whole = scene.platform.install

    def install_and_lose_the_engine(*arguments):
        whole(*arguments)
        scene.engine.is_away = True

    scene.platform.install = install_and_lose_the_engine
    assert installer.work()
    scene.assert_installed()
    assert scene.platform.installs == [scene.system]


def places(tmp_path_factory):
    scene = Scene(tmp_path_factory.mktemp("whole"))
    assert scene.installer().work()
    return scene.guillotine.passed


@pytest.mark.parametrize("is_memory_lost", [False, True], ids=["restarted", "power lost"])
def test_killed_at_any_step_it_goes_on_to_one_install(tmp_path_factory, is_memory_lost, quick_disk):
    count = places(tmp_path_factory)
    assert count > 20
    for at in range(count):
        scene = Scene(tmp_path_factory.mktemp("killed"), at=at)
        with pytest.raises(Killed):
            scene.installer().work()
        is_restarted = bool(scene.platform.restarts)
        if is_memory_lost and not is_restarted:
            shutil.rmtree(scene.installer().run.config.state_dir, ignore_errors=True)
            scene.machine.new_boot()
        assert scene.installer().work()
        scene.assert_installed()
        assert len(scene.platform.installs) <= 2
