"""Parts of the engine that die or lose their files: machines see it, and nothing is lost."""

import shutil
import time

import pytest

from simulator.facts import discovery_report, make_fleet
from simulator.ignition import parse_config
from simulator.scenario import Until
from tests.e2e import fleets
from tests.e2e.engine import wait_until

pytestmark = pytest.mark.e2e
MANY = 40


def discover(engine, fleet):
    """Post the facts of machines that then only exist for the engine."""
    for who in fleet:
        report = discovery_report(who, boot_id=f"boot-{who.index}", journal=["Ignition finished"])
        status, body = engine.ask("POST", "/discovery", report)
        assert status == 200, body


def decoded_configs(engine, fleet):
    """Machines whose config is a role's and their own, asked without side effects."""
    ready = []
    for who in fleet:
        status, body = engine.ask("GET", f"/ignition?{who.raw_query}")
        if status == 200 and not (config := parse_config(body)).is_discovery:
            assert not config.contradictions(uuid=who.uuid, mac=who.mac, roles=config.roles)
            ready.append(who)
    return ready


def test_a_worker_killed_in_the_middle_of_a_sync_is_repaired_by_the_next_run(engine):
    fleet = make_fleet(MANY, seed=101)
    discover(engine, fleet)
    wait_until(engine.renderers, 60, lambda: "a sync in its middle")
    notified_before = engine.read("/sync-notify")["sync-notify"]
    for process in engine.processes("celery"):
        process.kill()
    assert len(decoded_configs(engine, fleet)) < MANY
    wait_until(
        lambda: len(decoded_configs(engine, fleet)) == MANY, 60, lambda: f"all: {engine.story()}"
    )
    wait_until(
        lambda: engine.read("/sync-notify")["sync-notify"] > notified_before, 60, engine.story
    )
    groups = (engine.matchbox_dir / "groups").glob("*.json")
    assert sum('"mac"' in path.read_text() for path in groups) >= MANY


def test_a_killed_matchbox_comes_back_and_no_machine_is_misled(engine):
    async def story(fleet):
        assert await fleet.wait_for_end(Until.UP_TO_DATE, 60), fleet.result().as_json()
        engine.matchbox_process().kill()
        reports = [one.reports for one in fleet.machines]
        assert await fleet.wait_until(
            lambda: all(
                one.reports > before + 2
                for one, before in zip(fleet.machines, reports, strict=True)
            ),
            30,
        )
        assert await fleet.wait_until(engine.is_healthy, 30)

    fleets.assert_good(fleets.tell(engine, story))
    assert engine.ask("GET", "/ipxe?mac=52-54-ff-ff-ff-ff", url=engine.matchbox_url)[0] == 200


def test_a_deleted_matchbox_directory_is_repaired_within_a_sync_interval(engine):
    fleets.assert_good(fleets.run(engine, machines=1))
    before = published(engine)
    assert before
    for folder in ("groups", "profiles", "ignition"):
        shutil.rmtree(engine.matchbox_dir / folder)
    started = time.monotonic()
    wait_until(lambda: published(engine) == before, 30, lambda: f"repair: {engine.story()}")
    seconds = time.monotonic() - started
    assert seconds < 15, f"the repair took {seconds:.0f} s with a sync every 2 s"
    wait_until(engine.is_healthy, 30)


def published(engine):
    """Every file that matchbox reads, with its bytes."""
    folders = [engine.matchbox_dir / name for name in ("groups", "profiles", "ignition")]
    files = [path for folder in folders if folder.exists() for path in folder.glob("*")]
    try:
        return {path.relative_to(engine.matchbox_dir): path.read_bytes() for path in files}
    except FileNotFoundError:
        return {}


def test_what_matchbox_serves_itself_is_what_the_engine_serves(engine):
    result = fleets.scenario(engine, machines=2)
    fleet = make_fleet(2, result.seed)
    discover(engine, fleet)
    wait_until(lambda: len(decoded_configs(engine, fleet)) == 2, 60)

    def differing():
        """The engine serves a config as soon as it is stored; its file follows in the same sync."""
        paths = [f"/ignition?{who.raw_query}" for who in fleet]
        return [
            path
            for path in paths
            if engine.ask("GET", path) != engine.ask("GET", path, url=engine.matchbox_url)
        ]

    wait_until(lambda: not differing(), 60, lambda: f"{differing()}: {engine.story()}")


def test_an_engine_restarted_in_the_middle_goes_on_where_it_was(engine):
    async def story(fleet):
        is_half_way = lambda: sum(one.installs for one in fleet.machines) == 2  # noqa: E731
        assert await fleet.wait_until(is_half_way, 60), fleet.result().as_json()
        roles, revision = engine.read("/scheduler"), engine.read("/sync-notify")
        assert engine.stop() == 0
        engine.start()
        assert engine.read("/scheduler").items() >= roles.items()
        assert engine.read("/sync-notify")["sync-notify"] >= revision["sync-notify"]
        assert await fleet.wait_for_end(Until.UP_TO_DATE, 90), fleet.result().as_json()

    scenario = fleets.scenario(engine, machines=4)
    fleets.assert_good(fleets.tell(engine, story, machines=4, seed=scenario.seed))
    ours = {who.mac for who in make_fleet(4, scenario.seed)}
    installs = engine.read("/lifecycle/coreos-install")
    assert [one["success"] for one in installs if one["mac"] in ours] == [True] * 4
