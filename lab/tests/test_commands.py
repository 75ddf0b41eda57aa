"""`manage.py lab` over a driver, an engine and a network that are none."""

import argparse
import io
import json
from datetime import UTC, datetime, timedelta

import pytest

import lab.bringup
import lab.lab
import lab.watch
from lab import cli, fleetview, netns
from lab.arguments import add_arguments
from lab.errors import LabFailed
from lab.ledger import Ledger
from lab.paths import LabPaths
from lab.tests.fakes import FakeDriver, FakeEngine, FakeNetwork, Rows, row, views

NOW = "2099-01-01T00:00:00Z"


class Bench:
    """Runs commands; keeps the driver, network and engine of each lab between them."""

    def __init__(self, state_dir, url, rows):
        self.state_dir, self.rows = state_dir, rows
        self.drivers, self.networks, self.engine = {}, {}, FakeEngine(url)
        self.out = self.err = ""
        self.at_new = lambda driver: None

    def load(self, paths, topology, network):
        if topology.name not in self.drivers:
            self.drivers[topology.name] = FakeDriver(paths, topology, network)
            self.drivers[topology.name].on_power = self.finish
            self.at_new(self.drivers[topology.name])
        return self.drivers[topology.name]

    @property
    def driver(self):
        (driver,) = self.drivers.values()
        return driver

    def network(self, paths, topology, **options):
        return self.networks.setdefault(topology.name, FakeNetwork(paths, topology, **options))

    def finish(self, machine):
        """A machine that is up to date as soon as it is switched on."""
        self.rows[machine.mac] = row(machine, "running", roles="r", up_to_date=True, reported=NOW)

    def run(self, *words):
        parser = argparse.ArgumentParser()
        add_arguments(parser)
        out, err = io.StringIO(), io.StringIO()
        options = vars(parser.parse_args(words))
        status = cli.run(options, state_dir=self.state_dir, load=self.load, out=out, err=err)
        self.out, self.err = out.getvalue(), err.getvalue()
        return status


@pytest.fixture
def bench(tmp_path, monkeypatch):
    with views() as (url, served):
        served["/ui/view/machine"] = rows = Rows()
        one = Bench(tmp_path, url, rows)
        monkeypatch.setattr(netns, "is_root", lambda: True)
        monkeypatch.setattr(
            netns,
            "is_namespace",
            lambda name: any(
                network.is_up and network.namespace == name for network in one.networks.values()
            ),
        )
        monkeypatch.setattr(lab.lab, "Network", one.network)
        monkeypatch.setattr(lab.lab, "OwnEngine", lambda *arguments: one.engine)
        monkeypatch.setattr(lab.lab, "missing_programs", list)
        monkeypatch.setattr(lab.bringup, "agent_archive", lambda say: tmp_path / "agent.tar.gz")
        monkeypatch.setattr(lab.bringup, "make_key", lambda paths: None)
        monkeypatch.setattr("lab.bringup.time.sleep", lambda seconds: None)
        yield one


@pytest.fixture
def file(tmp_path):
    def write(*names, **more):
        path = tmp_path / "topology.yaml"
        path.write_text(json.dumps({"machines": [{"name": name} for name in names], **more}))
        return str(path)

    return write


def test_up_ends_well_when_all_machines_are_up_to_date(bench):
    assert bench.run("up") == 0
    assert bench.driver.asked == ["define m1", "define m2", "power_on m1", "power_on m2"]
    assert bench.engine.applied == [
        ["fake/kernel", "agent/agent.tar.gz"],
        (
            {
                "lifecycle_update_polling_seconds": 10,
                "agent_url": f"{bench.engine.url}/assets/agent",
                "boot_kernel": "fake/kernel",
            },
            1,
        ),
    ]
    assert "m1: up to date" in bench.out
    assert bench.out.endswith(f"All 2 machines are up to date. Console: {bench.engine.url}/ui\n")


def test_a_second_up_leaves_what_runs(bench):
    bench.run("up")
    bench.driver.asked.clear()
    assert bench.run("up") == 0
    assert bench.driver.asked == ["define m1", "define m2"]


def test_values_of_the_file_go_over_those_of_the_lab(bench, file):
    words = {"lifecycle_update_polling_seconds": 30, "boot_kernel": "mine"}
    assert bench.run("up", "--file", file("a", values=words)) == 0
    values, _ = bench.engine.applied[-1]
    assert values == {"agent_url": f"{bench.engine.url}/assets/agent", **words}


def test_machines_are_switched_on_a_few_at_a_time(bench, file, monkeypatch):
    order = []

    def boots_slowly(machine):
        # As seen by the engine only when the next ones wait already.
        order.append(f"on {machine.name}")
        bench.rows[machine.mac] = row(machine, "booting")

    ticks = iter(range(1000))

    def look(url, machines):
        if next(ticks) % 3 == 2:
            for machine in machines:
                if machine.mac in bench.rows:
                    order.append(f"up {machine.name}")
                    bench.finish(machine)
        return fleetview.look(url, machines)

    monkeypatch.setattr(lab.lab, "look", look)
    bench.at_new = lambda driver: setattr(driver, "on_power", boots_slowly)
    assert bench.run("up", "--file", file("a", "b", "c")) == 0
    assert order[:2] == ["on a", "on b"]
    assert order.index("on c") > order.index("up a")


def test_up_without_waiting_says_how_to_look(bench):
    bench.at_new = lambda driver: setattr(driver, "on_power", lambda machine: None)
    assert bench.run("up", "--no-wait") == 0
    assert bench.out.endswith("2 machines are switched on; `lab status` says how far they are.\n")


def test_a_machine_that_does_not_come_is_named_with_step_console_and_journal(bench):
    def stuck(machine):
        bench.driver.console(machine).write_text("GRUB\n\x1b[0;31mkernel\x1b[0m panic\r\n\n")
        bench.rows[machine.mac] = row(machine, "os_installation_granted", roles="node")

    bench.at_new = lambda driver: setattr(driver, "on_power", stuck)
    assert bench.run("up", "--deadline", "0.01") == 3
    for words in (
        "m1: installs, for",
        "    | kernel panic\n  journal",
        "journal, not to be had",
        "m2: installs",
    ):
        assert words in bench.err
    assert "the engine's last words" in bench.err
    assert bench.err.endswith("The lab is not up to date: not done after 0 s.\n")


def test_json_has_the_same_and_progress_goes_elsewhere(bench):
    bench.at_new = lambda driver: setattr(driver, "on_power", lambda machine: None)
    assert bench.run("up", "--json", "--deadline", "0.01") == 3
    document = json.loads(bench.out)
    assert document["is_good"] is False
    assert document["machines"] == {"m1": "in its firmware", "m2": "in its firmware"}
    assert document["stuck"][0]["machine"] == "m1"
    assert "Engine: starting it" in bench.err


def test_an_install_that_failed_for_good_ends_the_wait(bench, monkeypatch):
    monkeypatch.setattr(lab.watch, "_FAILED_SECONDS", -1)
    bench.at_new = lambda driver: setattr(
        driver,
        "on_power",
        lambda machine: bench.rows.update({machine.mac: row(machine, "installation_failed")}),
    )
    assert bench.run("up") == 1
    assert "m1: its install failed, and it does not try again" in bench.err


def test_an_engine_that_went_away_ends_the_wait(bench, monkeypatch):
    monkeypatch.setattr(lab.watch, "_ENGINE_SECONDS", -1)
    bench.at_new = lambda driver: setattr(driver, "on_power", lambda machine: None)
    bench.engine.url = "http://127.0.0.1:9"
    assert bench.run("up") == 1
    assert "the engine has not answered" in bench.err


@pytest.mark.parametrize("part", ["define m2", "power_on m2"])
def test_a_step_that_fails_is_named_and_what_was_made_stays(bench, part):
    bench.at_new = lambda driver: driver.broken.add(part)
    assert bench.run("up", "--json") == 1
    document = json.loads(bench.out)
    assert document["step"] == "machine m2"
    assert document["error"] == f"machine m2: {part.split()[0]} of m2 is broken"
    bench.driver.broken.clear()
    assert bench.run("up") == 0
    assert bench.run("down") == 0
    assert not LabPaths(bench.state_dir, "lab").root.exists()


def test_what_is_missing_is_said_at_once_and_nothing_is_begun(bench):
    bench.at_new = lambda driver: driver.lacking.extend(["no qemu.", "no image."])
    assert bench.run("up") == 1
    assert bench.err == "computer: no qemu.\n  no image.\n"
    assert not LabPaths(bench.state_dir, "lab").root.exists()


def test_a_wrong_file_is_wrong_use(bench, file):
    assert bench.run("up", "--file", file("a", "a", control_plane=2), "--json") == 2
    problems = json.loads(bench.out)["problems"]
    assert [problem.split(":")[0] for problem in problems] == ["control_plane", "machines"]


def test_a_file_that_grew_and_shrank_is_followed(bench, file):
    bench.run("up", "--file", file("a", "b"))
    bench.driver.asked.clear()
    assert bench.run("up", "--file", file("a", "b", "c")) == 0
    assert "power_on c" in bench.driver.asked
    assert "remove" not in " ".join(bench.driver.asked)
    bench.driver.asked.clear()
    assert bench.run("plan", "--file", file("a")) == 0
    assert bench.out.splitlines()[-2:] == ["- machine b", "- machine c"]
    assert bench.run("up", "--file", file("a")) == 0
    assert [one for one in bench.driver.asked if one.startswith("remove")] == [
        "remove b",
        "remove c",
    ]
    assert list(bench.driver.states) == ["a"]


def test_another_order_is_refused_while_the_lab_stands(bench, file):
    bench.run("up", "--file", file("a", "b"))
    assert bench.run("plan", "--file", file("b", "a")) == 1
    assert bench.run("up", "--file", file("b", "a")) == 1
    assert "machines[0] (b): its place was 2 and would be 1" in bench.err
    assert bench.run("status") == 0


def test_plan_says_what_up_would_do_and_does_nothing(bench):
    assert bench.run("plan", "--json") == 0
    document = json.loads(bench.out)
    assert [line.split()[0] for line in document["make"]] == [
        "network",
        "engine",
        "machine",
        "machine",
    ]
    assert bench.driver.asked == []
    assert not LabPaths(bench.state_dir, "lab").root.exists()
    bench.run("up")
    bench.driver.power_off(bench.driver.topology.machines[1])
    assert bench.run("plan") == 0
    marks = [line[0] for line in bench.out.splitlines()]
    assert marks == ["+", "=", "=", "="]
    assert "m2" in bench.out.splitlines()[0]
    assert "switched on" in bench.out.splitlines()[0]


def test_status_joins_what_driver_and_engine_say(bench):
    bench.run("up")
    assert bench.run("status") == 0
    assert bench.out.splitlines()[2].split() == ["m1", "10.77.0.10", "on", "r", "up", "to", "date"]
    bench.driver.power_off(bench.driver.topology.machines[0])
    assert bench.run("status", "--json") == 1
    first, second = json.loads(bench.out)["machines"]
    assert (first["power"], first["phase"], first["is_up_to_date"]) == ("off", "off", True)
    assert second["phase"] == "up to date"
    bench.engine.url = "http://127.0.0.1:9"
    assert bench.run("status") == 1
    assert "The engine does not answer" in bench.out


def test_a_report_from_before_power_on_counts_for_nothing(bench):
    past = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()

    def reported_before(machine):
        bench.rows[machine.mac] = row(machine, "running", roles="r", up_to_date=True, reported=past)

    bench.at_new = lambda driver: setattr(driver, "on_power", reported_before)
    assert bench.run("up", "--deadline", "0.01") == 3
    assert "m1: on, not reported since" in bench.err


def test_power_switches_one_machine(bench):
    bench.run("up")
    bench.driver.asked.clear()
    for act in ("off", "on", "reset", "cycle"):
        assert bench.run("power", "m1", act) == 0
    assert bench.driver.asked == [
        "power_off m1",
        "power_on m1",
        "reset m1",
        "power_off m1",
        "power_on m1",
    ]
    assert bench.run("power", "m9", "on") == 1
    assert bench.err == "There is no machine m9 in the lab lab: m1, m2.\n"


def test_break_does_what_its_name_says(bench):
    bench.run("up")
    bench.driver.asked.clear()
    for fault in ("cut-network", "mend-network", "kill", "foreign-disk"):
        assert bench.run("break", "m1", fault) == 0
    assert bench.driver.asked == ["plug out m1", "plug in m1", "plug m1", "foreign-disk m1"]
    bench.driver.asked.clear()
    assert bench.run("break", "m2", "lose-disk") == 0
    # It was on: off for the time of the change, and on again.
    assert bench.driver.asked == ["plug m2", "lose-disk m2", "power_on m2"]
    assert "m2: done to sda" in bench.out


def test_break_stops_and_starts_the_engine(bench):
    bench.run("up")
    assert bench.run("break", "engine", "kill") == 0
    assert not bench.engine.is_running
    assert bench.run("break", "engine", "start") == 0
    assert bench.engine.is_running
    assert bench.run("break", "engine", "foreign-disk") == 1
    assert bench.run("break", "m1", "start") == 1
    assert "start is no fault of a machine" in bench.err


def test_ssh_runs_where_the_machine_is_and_gives_its_status(bench, capfd):
    bench.run("up")
    assert bench.run("ssh", "m1", "--", "uptime") == 7
    assert capfd.readouterr().out == "uptime\n"


def test_console_shows_the_file(bench):
    bench.run("up")
    bench.driver.console(bench.driver.topology.machines[0]).write_text("hello\n")
    assert bench.run("console", "m1") == 0
    assert bench.out == "hello\n"


def test_down_removes_everything_and_may_be_run_again(bench):
    bench.run("up")
    assert bench.run("down") == 0
    assert bench.driver.states == {}
    assert not bench.engine.is_running
    assert list((bench.state_dir / "lab").iterdir()) == []
    assert bench.run("down") == 1
    assert bench.err == "There is no lab here. `lab up` makes one.\n"


def test_down_goes_on_past_a_failure_and_keeps_the_ledger(bench):
    bench.run("up")
    bench.driver.broken.add("remove m1")
    assert bench.run("down", "--json") == 1
    assert json.loads(bench.out)["problems"] == ["remove of m1 is broken"]
    assert list(bench.driver.states) == ["m1"]
    assert not bench.engine.is_running
    assert Ledger(LabPaths(bench.state_dir, "lab")).names("machine") == ["m1"]
    bench.driver.broken.clear()
    assert bench.run("down") == 0


def test_several_labs_are_told_apart_by_their_names(bench, file):
    bench.run("up", "--file", file("a"), "--name", "one")
    bench.run("up", "--file", file("b"), "--name", "two")
    assert bench.run("status") == 1
    assert "say which one by --name: one, two" in bench.err
    assert bench.run("status", "--name", "two") == 0
    assert bench.run("down", "--name", "one") == 0
    bench.engine.start()  # both labs have the same one here
    assert bench.run("status") == 0


def test_without_root_it_says_so(bench, monkeypatch):
    monkeypatch.setattr(netns, "is_root", lambda: False)
    assert bench.run("up") == 1
    assert "run this as root" in bench.err


def test_an_interrupt_says_how_to_go_on(bench):
    def interrupt(machine):
        raise KeyboardInterrupt

    bench.at_new = lambda driver: setattr(driver, "on_power", interrupt)
    assert bench.run("up") == 130
    assert "`lab up` goes on, `lab down` removes it" in bench.out


def test_a_network_that_cannot_be_made_is_the_step(bench):
    bench.networks["lab"] = FakeNetwork(None, type("T", (), {"name": "lab"}))
    bench.networks["lab"].failure = LabFailed("the kernel says no")
    assert bench.run("up") == 1
    assert bench.err == "network: the kernel says no\n"


def test_an_unknown_machine_of_the_driver_is_no_obstacle_to_status(bench):
    Ledger(LabPaths(bench.state_dir, "lab")).note("namespace", "x")
    assert bench.run("status") == 1
    assert "not made" in bench.out
