"""What the lab makes of the engine's views, and how it finds out why a machine is stuck."""

from datetime import UTC, datetime, timedelta

import pytest

from lab import agentbuild
from lab.drivers.base import MachineState
from lab.errors import LabFailed
from lab.fleetview import EngineView, journal, look
from lab.http import NoAnswer, ask
from lab.phases import Sight
from lab.tests.fakes import row, views

ON = MachineState(is_defined=True, power="on", phase="firmware")
NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("state", "engine", "phase"),
    [
        (MachineState(is_defined=False, power="off"), EngineView("running"), "not made"),
        (MachineState(is_defined=True, power="off"), EngineView("running"), "off"),
        (ON, None, "in its firmware"),
        (MachineState(is_defined=True, power="on"), None, "on"),
        (MachineState(is_defined=True, power="on"), EngineView(), "on, not heard of"),
        (ON, EngineView("booting"), "boots over the network"),
        (ON, EngineView("discovery"), "discovered, waits for a role"),
        (ON, EngineView("discovery", "node"), "waits to install"),
        (ON, EngineView("os_installation_denied", "node"), "waits for the install gate"),
        (ON, EngineView("os_installation_granted", "node"), "installs"),
        (ON, EngineView("installation_failed", "node"), "install failed"),
        (ON, EngineView("installation_succeed", "node"), "installed, restarts"),
        (ON, EngineView("running", ""), "runs without a role"),
        (ON, EngineView("running", "node", is_up_to_date=False), "runs, outdated"),
        (ON, EngineView("running", "node", is_up_to_date=True), "up to date"),
        (ON, EngineView("a later word"), "a later word"),
    ],
)
def test_a_phase_says_where_a_machine_is(state, engine, phase):
    assert Sight(state, engine).phase() == phase
    assert Sight(state, engine, is_plugged=False).phase() == f"{phase}, network cut"


def test_only_a_report_since_power_on_counts():
    view = EngineView("running", "node", is_up_to_date=True, reported_at=NOW)
    assert Sight(ON, view).phase(NOW) == "up to date"
    assert Sight(ON, view).phase(NOW + timedelta(seconds=1)) == "on, not reported since"


def test_each_machine_is_found_by_its_mac(own_topology):
    known, booting = own_topology.machines
    with views() as (url, served):
        reported = "2030-01-01T00:00:00Z"
        served["/ui/view/machine"] = [
            row(known, "running", roles="node", up_to_date=True, reported=reported)
        ]
        served["/ui/view/states"] = [{"mac": booting.mac, "state": "booting"}]
        found = look(url, own_topology.machines)
    assert found[known.name] == EngineView("running", "node", known.fqdn, True, NOW)
    assert found[booting.name] == EngineView("booting")


def test_an_engine_that_says_something_else_has_not_answered(own_topology):
    with views() as (url, served):
        served["/ui/view/machine"] = {"kind": "database_away"}
        with pytest.raises(NoAnswer, match="/ui/view/machine"):
            look(url, own_topology.machines)
        with pytest.raises(NoAnswer, match="no JSON"):
            ask(f"{url}/text").json()
    with pytest.raises(NoAnswer):
        look(url, own_topology.machines)


def test_the_newest_boots_journal_is_shown(own_topology):
    machine = own_topology.machines[0]
    path = f"/discovery/ignition-journal/{machine.uuid}"
    boots = [{"boot_id": "b", "created_date": "2030"}, {"boot_id": "a", "created_date": "2029"}]
    with views() as (url, served):
        assert journal(url, machine, 5) == []
        served[path] = boots
        assert journal(url, machine, 5) == []
        served[f"{path}/b"] = {"lines": ["one", "two", "three"]}
        assert journal(url, machine, 2) == ["two", "three"]


def test_the_agent_is_built_once_for_the_same_sources(tmp_path, monkeypatch):
    built = []

    def build(archive):
        built.append(archive)
        archive.write_bytes(b"archive")

    monkeypatch.setattr(agentbuild, "_build", build)
    said: list[str] = []
    first = agentbuild.agent_archive(said.append, tmp_path / "agent")
    assert agentbuild.agent_archive(said.append, tmp_path / "agent") == first
    assert built == [first]
    assert len(said) == 1
    monkeypatch.setattr(agentbuild, "_key", lambda: "another")
    assert agentbuild.agent_archive(said.append, tmp_path / "agent") != first


def test_a_build_that_names_no_archive_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(agentbuild, "run", lambda *arguments, **options: "done\n")
    with pytest.raises(LabFailed, match="named no archive"):
        agentbuild.agent_archive(lambda text: None, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]
