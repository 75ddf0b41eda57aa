"""Machines that misbehave: each ends where it should, and the others do too."""

import asyncio

import pytest

from simulator.facts import make_fleet
from simulator.faults import Fault
from simulator.fleet import simulate
from simulator.machine import Phase
from simulator.scenario import Arrival, Until
from tests.e2e import fleets
from tests.e2e.engine import PATIENCE

pytestmark = pytest.mark.e2e


def test_one_machine_goes_all_the_way(engine):
    result = fleets.run(engine, machines=1)
    fleets.assert_good(result)
    assert len(engine.read("/scheduler/etcd-member")) == 1


def test_machines_that_come_one_by_one_all_get_there(engine):
    fleets.assert_good(fleets.run(engine, machines=4, arrival=Arrival.ONE_BY_ONE))


def test_machines_recover_from_what_they_can_recover_from(engine):
    faults = (Fault.SLOW, Fault.FAIL_INSTALL, Fault.REBOOT_MID_INSTALL, Fault.FLAKY_NETWORK)
    result = fleets.run(engine, machines=5, faults=dict.fromkeys(faults, 1))
    fleets.assert_good(result)
    assert result.phases == {"running": 5}


def test_a_silent_machine_holds_nobody_up_and_a_liar_is_found_out(engine):
    result = fleets.run(engine, faults={Fault.SILENT: 1, Fault.LIES: 1})
    fleets.assert_good(result)
    assert result.phases["silent"] == 1
    assert "210" in result.routes["POST /lifecycle/ignition/…"]["statuses"]


def test_a_machine_that_vanishes_in_its_install_holds_the_gate_only_until_its_deadline(engine):
    result = fleets.run(engine, faults={Fault.SILENT_INSTALL: 1})
    fleets.assert_good(result)
    assert result.phases == {"running": 2, "silent": 1}


def test_twins_are_told_apart_and_wait_while_the_others_go_on(engine):
    scenario = fleets.scenario(engine, machines=4, faults={Fault.DUPLICATE_UUID: 2})
    result = asyncio.run(simulate(scenario))
    fleets.assert_good(result)
    assert result.phases["running"] >= 2
    ours = {who.mac for who in make_fleet(4, scenario.seed)}
    known = [one["boot-info"] for one in engine.read("/discovery")]
    assert len([one for one in known if one["mac"] in ours]) == 4
    waiting = [one for one in engine.read("/scheduler/available") if one["mac"] in ours]
    assert len(waiting) == result.phases["waits for its role"]
    assert all("UUID" in one["waiting"] for one in waiting)


def test_a_machine_that_vanishes_with_the_slot_keeps_it_until_an_operator_frees_it(engine):
    async def story(fleet):
        assert await fleet.wait_for_end(Until.UP_TO_DATE, PATIENCE), fleet.result().as_json()
        await fleets.change_time_server(engine, fleet)
        culprit = next(one for one in fleet.machines if one.faults)
        fleets.grant(engine, culprit, "reboot")
        assert await fleet.wait_until(lambda: culprit.phase is Phase.SILENT, PATIENCE)
        others = [one for one in fleet.machines if one is not culprit]
        for machine in others:
            fleets.grant(engine, machine, "reboot")
        assert await fleet.wait_until(lambda: all(map(was_refused, others)), PATIENCE)
        assert fleet.world.audit.down() == [culprit.name]
        engine.manage(
            "shell",
            "--command",
            "from lifecycle.models import Slot\nfrom lifecycle.services import release_slot\n"
            "release_slot(slot=Slot.objects.get(), actor='e2e', reason='it is gone')",
        )
        fleet.world.audit.comes_back(culprit.name, "default")
        assert await fleet.wait_for_end(Until.UP_TO_DATE, PATIENCE), fleet.result().as_json()

    result = fleets.tell(engine, story, faults={Fault.SILENT_UPDATE: 1})
    fleets.assert_good(result)
    assert result.most_down_at_once == 1


def was_refused(machine):
    """It asked for the slot and another machine has it."""
    return "another machine holds the slot" in machine.last_words
