"""Updates in trouble: full and read-only disks, lost answers, odd state files, clocks, signals."""

import errno
import json
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.client import Unreachable
from agent.facts.boot import read_boot_id
from agent.ignition import digest
from agent.progress import Word
from agent.report import ready
from agent.state import StateStore
from agent.tests.machines import UUID
from agent.tests.scenes import NEW, OLD, Scene, finish
from agent.update import HELD_SECONDS
from agent.waits import Stopped


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path)


def update_kept(scene, **values):
    """An update as the agent would have written it in this boot, in which it has reported."""
    strategy, scene.engine.strategy = scene.engine.strategy, ""
    scene.once()
    scene.engine.strategy = strategy
    run = scene.reporter().run
    lock = {"url": scene.engine.url, "group": "default", "id": UUID}
    kept = {"lock": lock, "boot_id": read_boot_id(run.sources), "strategy": "reboot"}
    run.store.write("update", {**kept, **values})


# --- disks ---------------------------------------------------------------------------------------


class Disk:
    """A disk that takes nothing more, but lets files go; or that is read-only."""

    def __init__(self):
        self.left, self.is_read_only = 10_000, False

    def write(self, path, data, *, mode=0o600):
        self.left -= 1
        if self.left < 0 or self.is_read_only:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    @contextmanager
    def locked(self, store, name="lock"):
        if self.is_read_only:
            raise OSError(errno.EROFS, "Read-only file system")
        yield


@pytest.fixture
def disk(monkeypatch):
    found = Disk()
    monkeypatch.setattr("agent.state.write_atomically", found.write)
    monkeypatch.setattr(StateStore, "locked", lambda store, *told: found.locked(store, *told))
    return found


def test_a_full_disk_at_any_write_leaves_no_slot_behind(tmp_path_factory, disk, quick_disk):
    """Unless the machine went down for its update: then it comes back with it."""
    for left in range(40):
        scene = Scene(tmp_path_factory.mktemp("full"))
        disk.left = left
        is_down = any([scene.once(), scene.once(), scene.once()])
        if not is_down and scene.kept("update").get("step") not in ("staging", "restarting"):
            assert scene.engine.slot_holder == "", left
        disk.left = 10_000
        finish(scene)
        assert scene.engine.slot_holder == ""
        assert scene.engine.reports[-1] == digest(NEW)
    assert is_down


def test_a_new_config_that_finds_no_room_gives_the_slot_back_and_says_why(scene, disk, monkeypatch):
    whole = StateStore.write_bytes

    def small_only(store, name, data):
        if name == "next.ign":
            raise OSError(errno.ENOSPC, "No space left on device")
        whole(store, name, data)

    monkeypatch.setattr(StateStore, "write_bytes", small_only)
    assert not scene.once()
    assert scene.engine.slot_holder == ""
    assert scene.platform.restarts == []
    assert "No space left" in scene.kept("update-failures")["reason"]
    asked = scene.engine.asked["POST /v1"]
    assert not scene.once()
    assert scene.engine.asked["POST /v1"] == asked


def test_on_a_read_only_disk_it_still_reports_changes_nothing_and_says_so(scene, disk):
    scene.once()
    scene.machine.new_boot()
    disk.is_read_only = True
    reports, slots = len(scene.engine.reports), scene.engine.asked["POST /v1"]
    reporter = scene.reporter()
    told: list[Word] = []
    reporter.run.journal._tell = told.append
    reporter.once()
    reporter.once()
    assert len(scene.engine.reports) >= reports + 2
    assert scene.engine.asked["POST /v1"] == slots
    assert [(word.step, word.reason) for word in told] == [
        ("failed", "its state cannot be kept (Read-only file system)")
    ]


def test_ready_waits_for_a_disk_that_can_be_written_to(scene, disk):
    assert scene.once()
    disk.is_read_only = True
    run = scene.reporter().run
    run.clock.in_pause = lambda: setattr(disk, "is_read_only", run.clock.left > 190)
    ready(run, scene.platform)
    assert len(run.clock.paused) > 5
    assert scene.engine.slot_holder == ""


# --- the slot ------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [403, 404, 409, 429])
def test_a_refusal_after_a_lost_answer_proves_nothing_so_the_slot_is_given_back(scene, status):
    """Something else may refuse in the server's name, or the lost request be heard after it."""
    whole, answers = scene.engine._slot, ["lost", status]

    def slot(path, holder, headers):
        if path == "/v1/pre-reboot" and answers:
            answer = answers.pop(0)
            if answer != "lost":
                return answer, {"value": "refused"}, {}
            whole(path, holder, headers)
            raise Unreachable("lost")
        return whole(path, holder, headers)

    scene.engine._slot = slot
    scene.engine.config = NEW
    assert not scene.once()
    assert scene.engine.slot_holder == UUID
    assert not scene.once()
    assert "refused" in scene.reason()
    scene.engine.strategy = ""
    assert not scene.once()
    assert scene.engine.slot_holder == ""
    assert scene.kept("update") == {}
    assert scene.kept("update-failures") == {}


def lose(scene, *, is_heard):
    """The answer to the first request for the slot is lost, or the request itself."""
    whole, is_first = scene.engine._slot, [True]

    def slot(path, holder, headers):
        if path == "/v1/pre-reboot" and is_first and is_first.pop():
            if is_heard:
                whole(path, holder, headers)
            raise Unreachable("lost")
        return whole(path, holder, headers)

    scene.engine._slot = slot


def test_whoever_took_a_policys_slot_finishes_when_the_rollout_is_paused_meanwhile(scene):
    """Its answer was lost. To give the slot back, still outdated, would count as a failure."""
    scene.engine.group = "workers"
    lose(scene, is_heard=True)
    assert not scene.once()
    assert scene.engine.slot_holder == UUID
    scene.engine.strategy = ""
    assert scene.once()
    assert not scene.once()
    assert scene.engine.slot_holder == ""
    assert scene.kept("update") == {}
    assert scene.engine.reports[-1] == digest(NEW)


def test_whoever_did_not_take_it_changes_nothing_and_is_no_failure(scene):
    scene.engine.group = "workers"
    lose(scene, is_heard=False)
    assert not scene.once()
    scene.engine.strategy = ""
    told: list[Word] = []
    for _ in range(3):
        reporter = scene.reporter()
        reporter.run.journal._tell = told.append
        reporter.once()
    assert scene.engine.slot_holder == ""
    assert scene.platform.restarts == []
    assert scene.kept("update") == {}
    assert "gives up" not in {word.step for word in told}
    scene.engine.strategy = "reboot"
    assert scene.once()


@pytest.mark.parametrize("step", ["held", "drained", "staging"])
def test_a_slot_that_an_operator_released_meanwhile_is_not_used(scene, step):
    scene.reporter().run.store.write_bytes("next.ign", NEW)
    update_kept(scene, step=step, sha512=digest(NEW))
    scene.engine.slot_holder = "another"
    assert not scene.once()
    assert scene.platform.restarts == []
    assert scene.engine.slot_holder == "another"
    assert scene.kept("update") == {}


def test_a_restart_that_was_staged_waits_for_a_slot_that_was_released(scene):
    scene.reporter().run.store.write_bytes("next.ign", NEW)
    update_kept(scene, step="restarting", sha512=digest(NEW))
    scene.engine.slot_holder = "another"
    assert not scene.once()
    assert "all slots are held" in scene.reason()
    assert scene.platform.restarts == []
    scene.engine.slot_holder = ""
    assert scene.once()
    assert scene.engine.slot_holder == UUID


def test_a_slot_that_is_held_needs_no_engine_to_go_on(scene, monkeypatch):
    scene.reporter().run.store.write_bytes("next.ign", NEW)
    update_kept(scene, step="drained", sha512=digest(NEW))
    scene.engine.slot_holder = UUID
    whole = scene.engine._slot
    scene.engine._slot = lambda *told: (503, {"value": "away"}, {})
    assert scene.once()
    scene.engine._slot = whole
    assert not scene.once()
    assert scene.engine.slot_holder == ""


@pytest.mark.parametrize("kind", ["unknown_group", "other_authority", "missing_protocol_header"])
def test_a_slot_that_its_server_cannot_hold_any_more_stops_no_update_for_ever(scene, kind):
    """The engine came back without that group, or another server has the slots since."""
    assert scene.once()
    status = 409 if kind == "other_authority" else 400
    scene.engine._slot = lambda *told: (status, {"kind": kind, "value": "not here"}, {})
    assert not scene.once()
    assert bool(scene.kept("update")) == (kind == "missing_protocol_header")


def test_a_config_that_never_comes_costs_the_slot_whatever_the_clock_says(scene, monkeypatch):
    """The wall clock is put back by years while the slot is held."""
    whole = scene.engine.answer

    def answer(method, path, body, headers):
        if path.startswith("/ignition"):
            return 503, {"value": "out of sync"}, {}
        return whole(method, path, body, headers)

    scene.engine.answer = answer
    monotonic = 5000.0
    for passed in (0, 60, HELD_SECONDS + 61):
        scene.now -= 1e8
        reporter = scene.reporter()
        reporter.run.clock.monotonic = lambda passed=passed: monotonic + passed
        reporter.once()
        assert scene.engine.slot_holder == ("" if passed > HELD_SECONDS else UUID)
    assert "does not come" in scene.kept("update-failures")["reason"]


def test_an_engine_that_calls_the_running_config_outdated_is_not_asked_each_minute(scene):
    """Else the slot would go to and fro for ever."""
    scene.engine._report = lambda document, body: (210, {"message": "Outdated"}, {})
    scene.engine.config = OLD
    for _ in range(5):
        assert not scene.once()
    assert scene.engine.slot_holder == ""
    assert scene.engine.asked["POST /v1"] == 2
    assert "called outdated" in scene.reason()


def test_a_kexec_that_does_not_happen_becomes_a_reboot(tmp_path, monkeypatch):
    scene = Scene(tmp_path, strategy="kexec")
    scene.platform.ends_at_restart = False
    monkeypatch.setattr(scene.machine, "power_cycle", lambda: None)
    assert not scene.once()
    assert "did not" in scene.reason()
    assert not scene.once()
    assert scene.platform.restarts == ["kexec", "reboot"]
    assert scene.engine.slot_holder == UUID


# --- what was kept -------------------------------------------------------------------------------


def test_a_step_of_another_version_gives_the_slot_back(scene):
    update_kept(scene, step="cordoned", more={"of": "it"})
    scene.engine.slot_holder = UUID
    scene.engine.strategy = ""
    assert not scene.once()
    assert scene.engine.slot_holder == ""
    assert scene.kept("update") == {}


def test_a_memory_without_its_lock_does_not_stop_the_machine_for_ever(scene):
    scene.reporter().run.store.write("update", {"step": "asking", "boot_id": scene.machine.boot_id})
    finish(scene)
    assert scene.engine.reports[-1] == digest(NEW)


_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=2),
    st.sampled_from(["asking", "held", "drained", "staging", "restarting", "unwinding", "kexec"]),
    st.just({"url": "http://engine", "group": "default", "id": UUID}),
)
_KEYS = st.sampled_from(
    ["step", "lock", "boot_id", "strategy", "sha512", "since", "held_at", "count", "not_before"]
)


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(_KEYS, _VALUES), st.dictionaries(_KEYS, _VALUES), st.booleans())
def test_no_state_file_makes_it_fall_over(tmp_path_factory, update, failures, is_this_boot):
    scene = Scene(tmp_path_factory.mktemp("odd"))
    scene.platform.ends_at_restart = False
    folder = scene.reporter().run.store.folder
    folder.mkdir(parents=True)
    if is_this_boot:
        update["boot_id"] = scene.machine.boot_id
    (folder / "update.json").write_text(json.dumps(update))
    (folder / "update-failures.json").write_text(json.dumps(failures))
    for _ in range(3):
        scene.reporter().once()
    assert scene.kept("status-report")["step"]


# --- being told to end ---------------------------------------------------------------------------


def test_told_to_end_while_it_drains_it_goes_on_after_its_next_start(scene):
    """systemd ends the hooks together with the agent: that is no failure of theirs."""
    reporter = scene.reporter()
    flag = scene.machine.root / "stopped"
    scene.hook("drain.d/pods", f"test -e {flag} || {{ touch {flag}; kill -TERM $$; }}")
    whole = reporter.run.store.write

    def stop_when_held(name, document):
        whole(name, document)
        if name == "update" and document.get("sha512"):
            reporter.run.clock.stop.set()

    reporter.run.store.write = stop_when_held
    with pytest.raises(Stopped):
        reporter.once()
    assert scene.kept("update")["step"] == "held"
    assert scene.kept("update-failures") == {}
    assert scene.once()


def test_told_to_end_it_begins_nothing_new(scene):
    reporter = scene.reporter()
    reporter.run.clock.stop.set()
    with pytest.raises(Stopped):
        reporter.once()
    assert scene.engine.slot_holder == ""


# --- a fleet that comes back ---------------------------------------------------------------------


def test_an_engine_that_asks_for_patience_gets_it_and_not_from_all_at_once(scene):
    scene.engine.answer = lambda *told: (503, {"value": "busy"}, {"Retry-After": "240"})
    pauses = set()
    for _ in range(3):
        reporter = scene.reporter()
        reporter.run.clock.left = 2
        with pytest.raises(Stopped):
            reporter.forever()
        pauses.add(reporter.run.clock.paused[1])
    assert len(pauses) == 3
    assert all(240 <= pause <= 300 for pause in pauses)
