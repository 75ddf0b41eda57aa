"""Discover: facts again and again until there is a role."""

import threading

import pytest

from agent.discover import discover
from agent.tests.machines import MAC, ScriptedClock
from agent.waits import Stopped


def test_it_reports_until_it_has_a_role(start, engine):
    engine.roles = []
    run = start("discover")
    run.clock = ScriptedClock(lambda: engine.roles.append("kubernetes-node"))
    assert discover(run)
    assert [facts["boot-info"]["mac"] for facts in engine.facts] == [MAC, MAC]
    assert "kubernetes-node" in run.store.read("status-discover")["reason"]


def test_with_a_role_it_still_waits_for_a_neighbour(start, engine, machine):
    heard = (machine.root / "facts/lldp.json").read_text()
    machine.write("facts/lldp.json", '{"lldp": {}}')
    run = start("discover", ENJOLIVER_AGENT_LLDP_SECONDS="3600")
    run.clock = ScriptedClock(lambda: machine.write("facts/lldp.json", heard))
    assert discover(run)
    assert [facts["lldp"]["is_file"] for facts in engine.facts] == [False, True]


def test_it_waits_for_no_neighbour_where_nobody_listens(start, engine, machine):
    machine.write("facts/lldp.json", "")
    assert discover(start("discover"))
    assert len(engine.facts) == 1


def test_it_does_not_wait_for_ever_for_a_neighbour(start, engine, machine):
    machine.write("facts/lldp.json", '{"lldp": {}}')
    assert discover(start("discover", ENJOLIVER_AGENT_LLDP_SECONDS="0"))
    assert len(engine.facts) == 1


def test_once_is_enough_when_asked(start, engine):
    engine.roles = []
    assert discover(start("discover"), is_once=True)
    assert len(engine.facts) == 1


def test_it_says_why_it_waits_and_ends_when_told(start, engine):
    engine.is_away = True
    run = start("discover")
    threading.Timer(0.2, run.clock.stop.set).start()
    with pytest.raises(Stopped):
        discover(run)
    assert "the engine is away" in run.store.read("status-discover")["reason"]


def test_without_identity_it_fails_and_says_so(start, machine):
    machine.write("sys/class/dmi/id/product_uuid", "")
    run = start("discover")
    assert not discover(run)
    assert "no UUID" in run.store.read("status-discover")["reason"]
