"""Parts of the engine that die or lose their files: machines see it, and nothing is lost."""

import itertools

import pytest

from simulator.facts import discovery_report, make_fleet
from simulator.ignition import parse_config
from simulator.scenario import Until
from tests.e2e import fleets
from tests.e2e.engine import PATIENCE, wait_until

pytestmark = pytest.mark.e2e
MANY = 40
_seeds = itertools.count(101)


FOLDERS = ("groups", "profiles", "ignition")


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


def all_have_configs(engine, fleet):
    return len(decoded_configs(engine, fleet)) == len(fleet)


def stop_in_the_middle_of_a_sync(engine):
    """Discover a fleet and stop the workers (SIGSTOP) while they sync it: workers and fleet."""
    while True:
        fleet = make_fleet(MANY, seed=next(_seeds))
        discover(engine, fleet)
        while not all_have_configs(engine, fleet):  # else it was over before we saw it
            wait_until(
                lambda some=fleet[-1:]: engine.renderers() or all_have_configs(engine, some),
                PATIENCE,
                lambda: f"a sync: {engine.story()}",
            )
            workers = engine.processes("celery")
            for process in workers:
                process.suspend()
            if engine.renderers() and not all_have_configs(engine, fleet):
                return workers, fleet
            for process in workers:
                process.resume()


def test_a_worker_killed_in_the_middle_of_a_sync_is_repaired_by_the_next_run(engine):
    workers, fleet = stop_in_the_middle_of_a_sync(engine)
    for process in workers:
        process.kill()
    wait_until(lambda: all_have_configs(engine, fleet), PATIENCE, lambda: f"all: {engine.story()}")
    # Once they are stored, their files follow in the same sync, before its end.
    engine.wait_for_sync(after=engine.wait_for_sync())
    groups = [path.read_text() for path in (engine.matchbox_dir / "groups").glob("*.json")]
    assert [who.mac for who in fleet if not any(who.mac in group for group in groups)] == []


def test_a_killed_matchbox_comes_back_and_no_machine_is_misled(engine):
    async def story(fleet):
        assert await fleet.wait_for_end(Until.UP_TO_DATE, PATIENCE), fleet.result().as_json()
        engine.matchbox_process().kill()
        reports = [one.reports for one in fleet.machines]
        assert await fleet.wait_until(
            lambda: all(
                one.reports > before + 2
                for one, before in zip(fleet.machines, reports, strict=True)
            ),
            PATIENCE,
        )
        assert await fleet.wait_until(engine.is_healthy, PATIENCE)

    fleets.assert_good(fleets.tell(engine, story))
    # Health is kept for two seconds: it may still be of the time before.
    unknown = "/ipxe?mac=52-54-ff-ff-ff-ff"
    wait_until(
        lambda: engine.ask("GET", unknown, url=engine.matchbox_url)[0] == 200,
        PATIENCE,
        lambda: f"matchbox: {engine.story()}",
    )


def test_a_deleted_matchbox_directory_is_repaired_by_the_next_sync(engine, tmp_path):
    fleets.assert_good(fleets.run(engine, machines=1))
    engine.wait_for_sync(after=engine.wait_for_sync())  # then all that is stored is published
    before = published(engine)
    assert before
    for name in FOLDERS:  # in one step each: a sync may be writing there
        (engine.matchbox_dir / name).rename(tmp_path / name)
    wait_until(lambda: published(engine) == before, PATIENCE, lambda: f"repair: {engine.story()}")
    wait_until(engine.is_healthy, PATIENCE)


def published(engine):
    """Every file that matchbox reads, with its bytes."""
    files = [path for name in FOLDERS for path in (engine.matchbox_dir / name).glob("*")]
    return {path.relative_to(engine.matchbox_dir): path.read_bytes() for path in files}


def test_what_matchbox_serves_itself_is_what_the_engine_serves(engine):
    result = fleets.scenario(engine, machines=2)
    fleet = make_fleet(2, result.seed)
    discover(engine, fleet)
    wait_until(lambda: all_have_configs(engine, fleet), PATIENCE, engine.story)

    def differing():
        """The engine serves a config as soon as it is stored; its file follows in the same sync."""
        paths = [f"/ignition?{who.raw_query}" for who in fleet]
        return [
            path
            for path in paths
            if engine.ask("GET", path) != engine.ask("GET", path, url=engine.matchbox_url)
        ]

    wait_until(lambda: not differing(), PATIENCE, lambda: f"{differing()}: {engine.story()}")


def test_an_engine_restarted_in_the_middle_goes_on_where_it_was(engine):
    async def story(fleet):
        is_half_way = lambda: sum(one.installs for one in fleet.machines) >= 2  # noqa: E731
        assert await fleet.wait_until(is_half_way, PATIENCE), fleet.result().as_json()
        roles, synced_at = engine.read("/scheduler"), engine.wait_for_sync()
        assert engine.stop() == 0
        engine.start()
        assert engine.read("/scheduler").items() >= roles.items()
        assert engine.wait_for_sync() >= synced_at
        assert await fleet.wait_for_end(Until.UP_TO_DATE, PATIENCE), fleet.result().as_json()

    scenario = fleets.scenario(engine, machines=4)
    fleets.assert_good(fleets.tell(engine, story, machines=4, seed=scenario.seed))
    ours = {who.mac for who in make_fleet(4, scenario.seed)}
    installs = engine.read("/lifecycle/coreos-install")
    assert [one["success"] for one in installs if one["mac"] in ours] == [True] * 4
