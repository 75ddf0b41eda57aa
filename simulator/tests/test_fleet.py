"""Whole lives of machines against the fake engine."""

import asyncio

import pytest

from simulator.facts import make_fleet
from simulator.faults import Fault
from simulator.fleet import Fleet, simulate
from simulator.machine import Phase
from simulator.scenario import Arrival, Scenario, Until
from simulator.tests.fake_engine import FakeEngine

PATIENCE = 120
"""Seconds: a bound for failure only, on machines that are many times slower than an idle one."""


def run(engine, **options):
    """One scenario against `engine`; the result."""

    async def story():
        async with engine.serve():
            defaults = {"machines": 3, "interval": 0.05, "deadline": PATIENCE}
            return await simulate(Scenario(url=engine.url, **{**defaults, **options}))

    return asyncio.run(story())


def test_five_machines_go_from_nothing_to_up_to_date():
    engine = FakeEngine()
    result = run(engine, machines=5, control_plane=3)
    assert result.is_good, result.as_json()
    assert result.phases == {"running": 5}
    assert len(engine.installed) == 5
    assert result.missing_assets > 0
    assert result.routes["POST /lifecycle/ignition/…"]["statuses"].keys() == {"200"}


def test_machines_that_arrive_one_by_one_all_get_there():
    result = run(FakeEngine(), machines=4, arrival=Arrival.ONE_BY_ONE)
    assert result.is_good, result.as_json()


def test_a_machine_tells_each_change_once_beside_its_work():
    engine = FakeEngine(control_plane=1)
    last = ("report", "up to date")

    def is_told(fleet):
        told = [words[-1:] == [last] for words in engine.words.values()]
        return told == [True] and fleet.machines[0].reports > 5

    result = watch(engine, is_told, machines=1)
    assert not result.violations, result.as_json()
    (words,) = engine.words.values()
    assert words[-1] == last
    assert ("install", "gate") in words
    assert len(words) == len(set(words)) <= 8


def test_an_engine_that_takes_no_words_changes_nothing():
    engine = FakeEngine(breaks={"deaf"})
    result = run(engine)
    assert result.is_good, result.as_json()
    assert engine.words == {}


def test_an_install_that_outlasts_the_silence_allowed_says_that_it_goes_on():
    engine = FakeEngine(control_plane=1)
    engine.grant_seconds = 1
    result = run(engine, machines=1, interval=0.6, until=Until.INSTALLED)
    assert result.is_good, result.as_json()
    assert engine.renewed == list(engine.attempts.values())
    short = FakeEngine(control_plane=1)
    assert run(short, machines=1, until=Until.INSTALLED).is_good
    assert short.renewed == []


def test_a_run_can_end_when_all_are_installed():
    result = run(FakeEngine(), until=Until.INSTALLED)
    assert result.is_good, result.as_json()


def watch(engine, is_so, **options):
    """Machines run until `is_so(fleet)`; the result."""

    async def story():
        async with engine.serve():
            defaults = {"machines": 2, "interval": 0.05}
            async with Fleet(Scenario(url=engine.url, **{**defaults, **options})) as fleet:
                assert await fleet.wait_until(lambda: is_so(fleet), PATIENCE)
                return fleet.result()

    return asyncio.run(story())


def test_machines_that_wait_are_not_at_their_end_and_say_why():
    result = watch(FakeEngine(), lambda fleet: all(one.polls > 2 for one in fleet.machines))
    assert not result.is_good
    assert {end.phase for end in result.unfinished} == {"waits for its role"}
    assert "waits for a role" in result.unfinished[0].lacks


def test_a_forever_run_stays_until_its_deadline():
    result = run(FakeEngine(), until=Until.FOREVER, deadline=1)
    assert result.seconds >= 1


@pytest.mark.parametrize(
    "fault",
    [Fault.SLOW, Fault.FAIL_INSTALL, Fault.REBOOT_MID_INSTALL, Fault.FLAKY_NETWORK],
)
def test_a_fault_that_a_machine_recovers_from_ends_well(fault):
    result = run(FakeEngine(), faults={fault: 1}, control_plane=3)
    assert result.is_good, result.as_json()
    assert result.phases == {"running": 3}


def test_a_failed_install_was_reported_as_such():
    engine = FakeEngine()
    assert run(engine, faults={Fault.FAIL_INSTALL: 2}).is_good
    assert len(engine.fails) == 2


def test_a_silent_machine_ends_silent_and_the_others_up_to_date():
    result = run(FakeEngine(), faults={Fault.SILENT: 1})
    assert result.is_good, result.as_json()
    assert result.phases == {"running": 2, "silent": 1}


def test_a_liar_ends_outdated():
    result = run(FakeEngine(), faults={Fault.LIES: 1})
    assert result.is_good, result.as_json()
    assert "210" in result.routes["POST /lifecycle/ignition/…"]["statuses"]


def test_twins_wait_without_a_role():
    engine = FakeEngine(needed=5)
    result = run(engine, machines=5, faults={Fault.DUPLICATE_UUID: 2}, control_plane=3)
    assert result.is_good, result.as_json()
    assert result.phases["waits for its role"] == 2
    assert len(engine.roles) == 3


def test_twins_with_a_role_each_are_a_violation():
    engine = FakeEngine(breaks={"twins"})
    result = run(engine, machines=3, faults={Fault.DUPLICATE_UUID: 2})
    assert "role each" in result.violations[-1]


def test_the_same_seed_gives_the_same_machines():
    first, second = FakeEngine(), FakeEngine()
    run(first, seed=4), run(second, seed=4)
    assert first.facts.keys() == second.facts.keys()
    assert first.roles == second.roles


@pytest.mark.parametrize(
    ("breaks", "words"),
    [
        ("neighbour", "not its own"),
        ("broken-config", "does not parse"),
        ("install-loop", "install loop"),
        ("bug", "answered 500"),
    ],
)
def test_an_engine_that_breaks_the_contract_is_caught(breaks, words):
    result = run(FakeEngine(breaks={breaks}))
    assert not result.is_good
    assert any(words in violation for violation in result.violations)


def test_a_wrong_control_plane_size_is_a_violation():
    result = run(FakeEngine(control_plane=1), control_plane=3)
    assert any("control plane has 1" in violation for violation in result.violations)


async def _roll(engine, strategies, **options):
    """Install all, change a value, allow the machines to update; the result."""
    scenario = Scenario(url=engine.url, machines=3, interval=0.05, **options)
    async with Fleet(scenario) as fleet:
        assert await fleet.wait_for_end(Until.INSTALLED, PATIENCE)
        engine.ntp = "ntp-b"
        outdated = lambda: all(one.is_up_to_date is False for one in fleet.machines)  # noqa: E731
        assert await fleet.wait_until(outdated, PATIENCE)
        for machine, strategy in zip(fleet.machines, strategies, strict=True):
            engine.strategies[machine.who.mac] = strategy
        await fleet.wait_for_end(Until.UP_TO_DATE, PATIENCE)
        return fleet.result()


def roll(engine, strategies=("kexec", "reboot", "poweroff"), **options):
    async def story():
        async with engine.serve():
            return await _roll(engine, strategies, **options)

    return asyncio.run(story())


def test_a_changed_value_rolls_through_the_fleet_one_machine_at_a_time():
    engine = FakeEngine()
    result = roll(engine)
    assert result.is_good, result.as_json()
    assert (result.most_down_at_once, result.turns_taken) == (1, 3)
    assert engine.slot is None


def test_two_machines_down_at_once_are_a_violation():
    result = roll(FakeEngine(breaks={"two-slots"}))
    assert any("down at once" in violation for violation in result.violations)


def test_a_machine_that_vanishes_with_the_slot_keeps_the_others_up():
    engine = FakeEngine()

    async def story():
        async with engine.serve():
            scenario = Scenario(
                url=engine.url, machines=3, interval=0.05, faults={Fault.SILENT_UPDATE: 1}
            )
            async with Fleet(scenario) as fleet:
                assert await fleet.wait_for_end(Until.UP_TO_DATE, PATIENCE)
                engine.ntp = "ntp-b"
                culprit = next(one for one in fleet.machines if one.faults)
                engine.strategies[culprit.who.mac] = "reboot"
                assert await fleet.wait_until(lambda: culprit.phase is Phase.SILENT, PATIENCE)
                for machine in fleet.machines:
                    engine.strategies[machine.who.mac] = "reboot"
                refused = engine.slot_refusals + 4
                assert await fleet.wait_until(lambda: engine.slot_refusals >= refused, PATIENCE)
                return fleet.result()

    result = asyncio.run(story())
    assert result.most_down_at_once == 1
    assert not result.violations


def test_a_machine_whose_group_went_away_goes_on_reporting():
    """As the agent does: it asks for its leave again, and may be told another group."""
    engine = FakeEngine(control_plane=1)

    async def story():
        async with engine.serve():
            scenario = Scenario(url=engine.url, machines=1, interval=0.05)
            async with Fleet(scenario) as fleet:
                assert await fleet.wait_for_end(Until.UP_TO_DATE, PATIENCE)
                (machine,) = fleet.machines
                engine.ntp, engine.strategies[machine.who.mac] = "ntp-b", "reboot"
                engine.breaks.add("no-group")
                assert await fleet.wait_until(lambda: engine.slot_refusals > 0, PATIENCE)
                reports = machine.reports + 2
                assert await fleet.wait_until(lambda: machine.reports >= reports, PATIENCE)
                engine.breaks.clear()
                assert await fleet.wait_for_end(Until.UP_TO_DATE, PATIENCE)

    asyncio.run(story())


def test_an_engine_that_is_away_is_waited_for():
    engine = FakeEngine(breaks={"away"})

    async def story():
        async with (
            engine.serve(),
            Fleet(Scenario(url=engine.url, machines=3, interval=0.05)) as fleet,
        ):
            assert await fleet.wait_until(lambda: len(engine.requests) > 6, PATIENCE)
            engine.breaks.clear()
            assert await fleet.wait_for_end(Until.UP_TO_DATE, PATIENCE)
            return fleet.result()

    result = asyncio.run(story())
    assert result.is_good, result.as_json()


def test_machines_with_kept_disks_go_on_where_they_were(tmp_path):
    engine = FakeEngine()

    async def story():
        async with engine.serve():
            scenario = Scenario(
                url=engine.url, machines=3, interval=0.05, disks=tmp_path / "disks.sqlite3"
            )
            assert (await simulate(scenario)).is_good
            reports_of_facts = engine.requests.count(("POST", "/discovery"))
            assert (await simulate(scenario)).is_good
            return engine.requests.count(("POST", "/discovery")) - reports_of_facts

    assert asyncio.run(story()) == 0


def test_an_installed_machine_without_its_disk_says_that_it_cannot_boot():
    engine = FakeEngine()
    engine.installed.update(who.mac for who in make_fleet(2, seed=1))

    def cannot_boot(fleet):
        return all("no system on its disk" in one.last_words for one in fleet.machines)

    assert not watch(engine, cannot_boot).is_good


def test_a_lost_slot_release_is_repeated_after_a_crash_of_the_simulator(tmp_path):
    engine = FakeEngine()

    async def story():
        async with engine.serve():
            disks = tmp_path / "disks.sqlite3"
            scenario = Scenario(url=engine.url, machines=3, interval=0.05, disks=disks)
            async with Fleet(scenario) as fleet:
                assert await fleet.wait_for_end(Until.UP_TO_DATE, PATIENCE)
                engine.ntp = "ntp-b"
                engine.strategies[fleet.machines[0].who.mac] = "poweroff"
                engine.breaks.add("loses-releases")
                assert await fleet.wait_until(lambda: engine.slot is not None, PATIENCE)
            assert engine.slot is not None
            engine.breaks.clear()
            async with Fleet(scenario) as fleet:
                assert await fleet.wait_until(lambda: engine.slot is None, PATIENCE)

    asyncio.run(story())
