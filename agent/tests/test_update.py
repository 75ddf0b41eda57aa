"""Reports, and updates that lose power anywhere: no slot leaks, one config wins."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.checks import judge_system
from agent.client import Unreachable
from agent.engine import NotNow
from agent.facts.boot import read_boot_id
from agent.ignition import digest
from agent.report import ready
from agent.running import Provisioned, is_proven, parse_result, running_config
from agent.tests.engines import role_config
from agent.tests.killing import Killed
from agent.tests.machines import UUID
from agent.tests.scenes import NEW, OLD, Scene, finish


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path)


def test_the_digest_goes_first_and_the_document_when_asked(scene):
    scene.engine.strategy = ""
    assert not scene.once()
    assert scene.engine.reports == [digest(OLD)] * 2
    assert digest(OLD) in scene.engine.known
    assert "no strategy" in scene.reason()
    assert not scene.once()
    assert scene.engine.reports == [digest(OLD)] * 3


@pytest.mark.parametrize("strategy", ["kexec", "reboot", "poweroff"])
def test_an_outdated_machine_takes_the_slot_applies_and_gives_it_back(tmp_path, strategy):
    scene = Scene(tmp_path, strategy=strategy)
    assert scene.once()
    assert scene.platform.restarts == [strategy]
    assert scene.engine.slot_holder == UUID
    assert not scene.once()
    assert scene.engine.slot_holder == ""
    assert scene.engine.reports[-1] == digest(NEW)
    assert scene.kept("status-report")["step"] == "up to date"
    assert scene.kept("update") == {}


def test_hooks_drain_and_tear_down_before_and_uncordon_after(scene):
    log = scene.machine.root / "log"
    for name in ("drain.d/10-a", "teardown.d/10-b", "ready.d/10-c", "uncordon.d/10-d"):
        scene.hook(name, f'echo "{name} $ENJOLIVER_STRATEGY" >> {log}')
    scene.hook("drain.d/20-plain", "exit 1")
    (scene.machine.root / "etc/enjoliver/hooks/drain.d/20-plain").chmod(0o644)
    assert scene.once()
    assert not scene.once()
    assert log.read_text().splitlines() == [
        "drain.d/10-a reboot",
        "teardown.d/10-b reboot",
        "ready.d/10-c ",
        "uncordon.d/10-d reboot",
    ]


def test_a_drain_that_fails_gives_the_slot_back_and_waits_before_the_next_try(scene):
    scene.hook("drain.d/pods", "echo a pod does not go >&2; exit 1")
    assert not scene.once()
    assert scene.engine.slot_holder == ""
    assert scene.platform.restarts == []
    assert "a pod does not go" in scene.kept("update-failures")["reason"]
    asked = scene.engine.asked["POST /v1"]
    assert not scene.once()
    assert "its last update failed" in scene.reason()
    assert scene.engine.asked["POST /v1"] == asked
    (scene.machine.root / "etc/enjoliver/hooks/drain.d/pods").unlink()
    scene.now += 3600
    assert scene.once()


def test_a_late_hook_is_stopped(scene):
    scene.hook("drain.d/slow", "sleep 60")
    assert not scene.once(ENJOLIVER_AGENT_HOOK_SECONDS="0.2")
    assert "stopped after" in scene.kept("update-failures")["reason"]


def test_it_waits_for_a_slot_that_another_machine_holds(scene):
    scene.engine.slot_holder = "another"
    assert not scene.once()
    assert "all slots are held" in scene.reason()
    assert scene.kept("update") == {}
    scene.engine.slot_holder = ""
    assert scene.once()


@pytest.mark.parametrize(
    "config",
    [role_config(is_discovery=True), role_config(role="etcd-member"), b"{}"],
    ids=["discovery", "another role", "no config"],
)
def test_a_config_that_is_not_its_own_is_never_applied(scene, config):
    scene.engine.config = config
    assert not scene.once()
    assert scene.engine.slot_holder == ""
    assert scene.platform.restarts == []
    assert "refused" in scene.kept("update-failures")["reason"]


def test_a_reset_that_fails_gives_the_slot_back(scene):
    scene.platform.is_broken = True
    assert not scene.once()
    assert scene.engine.slot_holder == ""
    assert "the reset broke" in scene.kept("update-failures")["reason"]


def test_a_machine_that_is_not_ready_keeps_its_slot_and_reports(scene):
    assert scene.once()
    scene.hook("ready.d/service", "echo it does not run; exit 1")
    reports = len(scene.engine.reports)
    assert not scene.once()
    assert scene.engine.slot_holder == UUID
    assert "it does not run" in scene.reason()
    assert len(scene.engine.reports) > reports
    scene.hook("ready.d/service", "exit 0")
    run = scene.reporter().run
    ready(run, scene.platform)
    assert scene.engine.slot_holder == ""


def test_ready_keeps_trying_while_the_engine_is_away(scene):
    assert scene.once()
    scene.engine.is_away = True
    run = scene.reporter().run
    run.clock.in_pause = lambda: setattr(scene.engine, "is_away", run.clock.left > 190)
    ready(run, scene.platform)
    assert len(run.clock.paused) > 5
    assert scene.engine.slot_holder == ""


def test_an_engine_that_is_away_is_no_error(scene):
    scene.engine.is_away = True
    assert not scene.once()
    assert "the engine is away" in scene.reason()


def test_a_change_taken_back_gives_the_slot_back(scene):
    scene.engine.config = OLD
    run = scene.reporter().run
    lock = {"url": scene.engine.url, "group": "default", "id": UUID}
    scene.engine.slot_holder = UUID
    boot_id = read_boot_id(run.sources)
    run.store.write("update", {"step": "held", "lock": lock, "boot_id": boot_id})
    assert not scene.once()
    assert scene.engine.slot_holder == ""
    assert scene.kept("update") == {}
    assert scene.kept("update-failures") == {}


def test_an_unknown_answer_to_the_slot_is_asked_again_and_never_leaks(scene):
    """The server took the slot and its answer was lost."""
    reporter = scene.reporter()
    take = reporter.run.engine.take_slot

    def lost(lock):
        take(lock)
        raise Unreachable("lost")

    reporter.run.engine.take_slot = lost
    reporter.once()
    assert scene.engine.slot_holder == UUID
    assert scene.kept("update")["step"] == "asking"
    scene.engine.strategy = ""
    assert not scene.once()
    assert scene.engine.slot_holder == ""
    assert scene.platform.restarts == []


# --- the running config --------------------------------------------------------------------------


def test_a_staged_config_is_not_reported_before_it_was_applied(scene):
    reporter = scene.reporter()
    boot_id = read_boot_id(reporter.run.sources)
    assert running_config(reporter.run, scene.platform, boot_id) == OLD
    scene.machine.stage(NEW)
    assert running_config(reporter.run, scene.platform, boot_id) == OLD
    scene.machine.power_cycle()
    boot_id = read_boot_id(reporter.run.sources)
    assert running_config(reporter.run, scene.platform, boot_id) == NEW


def test_without_ignitions_result_nothing_is_claimed(scene):
    (scene.machine.root / "etc/.ignition-result.json").unlink()
    assert not scene.once()
    assert scene.engine.reports == []
    assert "nothing proves" in scene.reason()


def test_state_that_was_lost_is_made_again_from_an_unchanged_file(scene):
    scene.machine.new_boot()
    run = scene.reporter().run
    path = scene.platform.applied_config
    os.utime(path, (1e9, 1e9))
    assert running_config(run, scene.platform, scene.machine.boot_id) == OLD
    run.store.forget("running")
    os.utime(path, (4e9, 4e9))
    assert running_config(run, scene.platform, scene.machine.boot_id) is None


def test_a_torn_copy_is_made_again(scene):
    run = scene.reporter().run
    assert running_config(run, scene.platform, scene.machine.boot_id) == OLD
    run.store.write_bytes("running.ign", b"torn")
    assert running_config(run, scene.platform, scene.machine.boot_id) == OLD


@given(st.dictionaries(st.sampled_from(["provisioningBootID", "provisioningDate"]), st.text()))
def test_any_result_of_ignition_can_be_read(document):
    assert isinstance(parse_result(json.loads(json.dumps(document))), Provisioned)


def test_a_boot_that_staged_something_proves_nothing():
    provisioned = Provisioned("boot", 100.0)
    assert is_proven(provisioned, boot_id="boot", staged_in="", modified_at=50.0)
    assert not is_proven(provisioned, boot_id="boot", staged_in="boot", modified_at=50.0)
    assert not is_proven(provisioned, boot_id="next", staged_in="", modified_at=102.0)


@pytest.mark.parametrize(
    ("state", "jobs", "failed", "words"),
    [
        ("running\n", "", "", ""),
        ("degraded", "", "x.service loaded failed failed X", "x.service"),
        ("starting", "1 enjoliver-ready.service start running", "", ""),
        ("starting", "2 kubelet.service start running\n3 a.target start waiting", "", "kubelet"),
        ("", "", "", "unknown state"),
    ],
)
def test_the_system_is_ready_when_nothing_else_starts_or_failed(state, jobs, failed, words):
    said = judge_system(state, jobs, failed)
    assert words in said
    assert bool(said) == bool(words)


# --- losing power --------------------------------------------------------------------------------


def whole(folder):
    scene = Scene(folder)
    finish(scene)
    return scene.guillotine.passed


@pytest.mark.parametrize("is_power_lost", [False, True], ids=["restarted", "power lost"])
def test_killed_at_any_step_it_ends_up_to_date_without_a_slot(
    tmp_path_factory, is_power_lost, quick_disk
):
    count = whole(tmp_path_factory.mktemp("whole"))
    assert count > 30
    for at in range(count):
        scene = Scene(tmp_path_factory.mktemp("killed"), at=at)
        try:
            finish(scene)
        except Killed:
            if is_power_lost:
                scene.machine.power_cycle()
        finish(scene)
        assert scene.engine.slot_holder == "", at
        assert scene.engine.reports[-1] == digest(NEW), at
        assert (scene.machine.root / "oem/config.ign").read_bytes() == NEW
        assert len(scene.platform.restarts) <= 2, at


def test_not_now_carries_the_time_to_wait():
    assert NotNow("wait", retry_after=3).retry_after == 3
