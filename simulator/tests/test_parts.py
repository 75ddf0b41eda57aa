"""Facts, faults, disks, metrics, audit and display."""

import asyncio
import io
import ipaddress
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from simulator.audit import Audit
from simulator.disks import Disks, DisksInUse, Installed
from simulator.display import Display
from simulator.facts import boot_journal, discovery_report, make_fleet, share_uuid
from simulator.faults import Fault, parse_fault, spread_faults
from simulator.machine import Phase
from simulator.metrics import Costs, Histogram
from simulator.result import End, Result


def test_machines_of_all_fleets_differ_in_every_identity():
    machines = [who for seed in range(1, 5) for who in make_fleet(500, seed)]
    for attribute in ("uuid", "mac", "serial", "ipv4", "fqdn"):
        assert len({getattr(who, attribute) for who in machines}) == len(machines)
    macs = {mac for who in machines for mac in (who.mac, who.second_mac)}
    assert len(macs) == 2 * len(machines)


def test_addresses_stay_in_the_network_for_ten_thousand_machines():
    network = ipaddress.ip_network("10.64.0.0/14")
    assert all(ipaddress.ip_address(who.ipv4) in network for who in make_fleet(10_000, 16))


def test_five_machines_stand_in_three_racks():
    names = [who.hostname for who in make_fleet(5, 1)]
    assert names == ["r0-srv1", "r1-srv1", "r2-srv1", "r0-srv2", "r1-srv2"]


def test_twins_share_one_uuid_and_nothing_else():
    fleet = share_uuid(make_fleet(4, 1), [1, 3])
    assert fleet[1].uuid == fleet[3].uuid
    assert len({who.uuid for who in fleet}) == 3
    assert len({who.mac for who in fleet}) == 4


def test_a_report_has_what_old_and_new_readers_want():
    who = make_fleet(1, 1)[0]
    journal = boot_journal(who, "http://e/ignition-pxe", "b-1")
    report = discovery_report(who, boot_id="b-1", journal=journal)
    assert report["boot-info"] == {"uuid": who.uuid, "mac": who.mac, "random-id": "b-1"}
    assert [one["name"] for one in report["interfaces"]] == ["lo", "eth0", "eth1"]
    assert report["lldp"]["data"]["interfaces"][0]["chassis"]["name"] == "tor-rack-0"
    assert {disk["rotational"] for disk in report["disks"]} == {True, False}
    assert 15 <= len(report["ignition-journal"]) <= 25


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("slow", (Fault.SLOW, 1)),
        ("lies=3", (Fault.LIES, 3)),
        ("duplicate-uuid", (Fault.DUPLICATE_UUID, 2)),
    ],
)
def test_a_fault_is_read_from_its_name(text, expected):
    assert parse_fault(text) == expected


@pytest.mark.parametrize("text", ["", "nonsense", "slow=", "slow=0", "slow=x", "duplicate-uuid=1"])
def test_a_fault_that_makes_no_sense_is_refused(text):
    with pytest.raises(ValueError):
        parse_fault(text)


def test_faults_are_spread_over_different_machines_the_same_way_each_time():
    wanted = {Fault.SLOW: 2, Fault.LIES: 3}
    first = spread_faults(wanted, 10, random.Random(5))
    assert first == spread_faults(wanted, 10, random.Random(5))
    assert sum(map(len, first)) == 5
    with pytest.raises(ValueError):
        spread_faults(wanted, 4, random.Random(5))


def test_disks_survive_their_process(tmp_path):
    path = tmp_path / "new" / "disks.sqlite3"
    content = Installed(running=b"a" * 9000, staged=b"b", lock="{}")
    disks = Disks(path)
    disks.write("m", content)
    disks.close()
    again = Disks(path)
    assert again.read("m") == content
    again.keep_download("m", b"document")
    assert again.take_download("m") == b"document"
    with pytest.raises(KeyError):
        again.take_download("m")
    again.wipe("m")
    assert again.read("m") is None
    again.close()


def test_a_fleet_runs_once_at_a_time(tmp_path):
    disks = Disks(tmp_path / "disks.sqlite3")
    with pytest.raises(DisksInUse, match="run already"):
        Disks(tmp_path / "disks.sqlite3")
    disks.close()
    Disks(tmp_path / "disks.sqlite3").close()


@given(st.lists(st.floats(0.0005, 500), min_size=1, max_size=200))
def test_a_percentile_is_right_to_a_tenth(durations):
    histogram = Histogram()
    for seconds in durations:
        histogram.add(seconds)
    exact = sorted(durations)[-(-len(durations) // 2) - 1]
    assert exact * 0.9 <= histogram.percentile(0.5) <= exact * 1.1
    assert histogram.percentile(1.0) == max(durations)


def test_costs_are_kept_per_route():
    costs = Costs()
    assert Histogram().percentile(0.5) == 0
    costs.answered("GET /x", status=200, seconds=0.01, sent=1, received=2)
    costs.answered("GET /x", status=503, seconds=0.01, sent=1, received=2)
    costs.lost("GET /x", "ClientOSError")
    route = costs.as_json()["GET /x"]
    assert route["statuses"] == {"200": 1, "503": 1}
    assert (route["requests"], route["bytes_received"]) == (3, 4)


def test_only_the_slot_of_one_is_audited_for_two_at_once():
    audit = Audit()
    audit.goes_down("a", "wide")
    audit.goes_down("b", "wide")
    assert (audit.count, audit.most_down_at_once) == (0, 2)
    audit.goes_down("c", "default")
    audit.goes_down("c", "default")
    audit.comes_back("c", "default")
    audit.comes_back("stranger", "default")
    audit.goes_down("d", "default")
    assert audit.count == 0
    audit.goes_down("e", "default")
    assert audit.count == 1
    assert audit.down() == ["a", "b", "d", "e"]


def test_the_audit_keeps_a_bounded_list():
    audit = Audit()
    for number in range(1000):
        audit.violation(str(number))
    assert (audit.count, len(audit.violations)) == (1000, 200)


def _result(**changes):
    values = {
        "seconds": 1.0,
        "machines": 1,
        "phases": {"running": 1},
        "unfinished": [],
        "violations": [],
        "violation_count": 0,
        "most_down_at_once": 0,
        "turns_taken": 0,
        "missing_assets": 0,
        "routes": Costs().as_json(),
    }
    return Result(**{**values, **changes})


def test_a_result_is_good_only_when_nothing_is_missing_or_broken():
    assert _result().is_good
    assert not _result(unfinished=[End("a", "off", "x")]).is_good
    assert not _result(violation_count=1, violations=["x"]).is_good
    assert _result(unfinished=[End("a", "off", "x")] * 90).as_json()["unfinished_count"] == 90


def _watch(is_terminal):
    text = io.StringIO()
    console = Console(file=text, force_terminal=is_terminal, width=100)
    display = Display(console, machines=2, title="engine")

    async def story():
        async with display.watching(lambda: {Phase.RUNNING: 2}):
            await asyncio.sleep(0)
            display.machine_says("r0-srv1", "is [up] to date")
            await asyncio.sleep(0.6)
        display.headline("The end")

    asyncio.run(story())
    costs = Costs()
    costs.answered("GET /x", status=200, seconds=0.01, sent=1, received=2)
    display.summary(
        _result(
            routes=costs.as_json(),
            violations=["rule"],
            violation_count=1,
            unfinished=[End("m", "off", "lacks")] * 30,
            missing_assets=1,
            turns_taken=1,
        )
    )
    return text.getvalue()


@pytest.mark.parametrize("is_terminal", [True, False])
def test_the_display_shows_sentences_and_the_summary(is_terminal):
    shown = _watch(is_terminal)
    assert "is [up] to date" in shown
    assert "GET /x" in shown
    assert "… and more" in shown
    assert "NOT as expected" in shown
