"""Recording of reports: idempotent, only differences written, history kept."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from machines.discovery import parse_report
from machines.models import (
    BootJournal,
    Chassis,
    ChassisPort,
    Disk,
    Event,
    Interface,
    Machine,
    StateChange,
    UnknownBoot,
)
from machines.services import RecordedDiscovery, record_discovery
from machines.services.journals import KEPT_PER_MACHINE, journal_lines
from machines.signals import facts_changed
from machines.states import State
from machines.tests.factories import UnknownBootFactory, document, mac_of, uuid_of

pytestmark = pytest.mark.django_db


def record(whole: dict[str, Any]) -> RecordedDiscovery:
    return record_discovery(report=parse_report(whole))


@pytest.fixture
def announced(django_capture_on_commit_callbacks):
    """Record a document and say which machines were announced."""

    def run(whole: dict[str, Any]) -> list[int]:
        heard: list[int] = []

        def hear(machine_id: int, **kwargs: Any) -> None:
            heard.append(machine_id)

        facts_changed.connect(hear)
        try:
            with django_capture_on_commit_callbacks(execute=True):
                record(whole)
        finally:
            facts_changed.disconnect(hear)
        return heard

    return run


def writes(whole: dict[str, Any]) -> list[str]:
    """The tables that recording `whole` writes to, in order."""
    with CaptureQueriesContext(
        connection,
    ) as captured:
        record(whole)
    found = []
    for query in captured.captured_queries:
        words = query["sql"].replace('"', "").split()
        if words[0] in ("INSERT", "UPDATE", "DELETE"):
            found.append(words[1] if words[0] == "UPDATE" else words[2])
    return found


def test_a_first_report_stores_one_of_each():
    recorded = record(document())
    assert recorded.is_new
    counts = [model.objects.count() for model in (Machine, Interface, Disk, Chassis, ChassisPort)]
    assert counts == [1, 1, 1, 1, 1]
    machine = recorded.machine
    assert (machine.state, machine.discriminator) == (State.DISCOVERY, "")
    assert StateChange.objects.get().to_state == State.DISCOVERY
    assert Event.objects.get().kind == "discovered"


def test_the_same_report_again_is_not_new_and_touches_only_the_time():
    first = record(document()).machine
    assert writes(document()) == ["machines_machine"]
    again = record(document())
    assert (again.machine, again.is_new) == (first, False)
    again.machine.refresh_from_db()
    assert again.machine.updated_at > first.updated_at
    assert again.machine.created_at == first.created_at
    assert Event.objects.count() == StateChange.objects.count() == 1


def test_the_same_facts_at_another_boot_write_the_journal_and_the_time():
    record(document())
    other = document()
    other["boot-info"]["random-id"] = "another-boot"
    assert writes(other) == ["machines_machine", "machines_bootjournal"]
    assert Machine.objects.get().boot_id == "another-boot"


def test_one_disk_more_rewrites_no_other_row():
    record(document())
    more = document(disks=[*document()["disks"], {"path": "/dev/sdb", "size-bytes": 5}])
    assert writes(more) == ["machines_machine", "machines_disk"]
    assert [disk.path for disk in Disk.objects.all()] == ["/dev/sda", "/dev/sdb"]


def test_without_disks_they_go_and_all_else_stays():
    record(document())
    interface = Interface.objects.get()
    record(document(disks=None))
    assert not Disk.objects.exists()
    assert Interface.objects.get() == interface
    assert ChassisPort.objects.count() == 1


def test_the_boot_interface_may_change():
    whole = document()
    whole["interfaces"].append(
        whole["interfaces"][1]
        | {"name": "eth1", "mac": mac_of(900), "ipv4": "10.64.0.99", "cidrv4": "10.64.0.99/14"}
    )
    machine = record(whole).machine
    whole["boot-info"]["mac"] = mac_of(900)
    recorded = record(whole)
    assert (recorded.machine, recorded.is_new) == (machine, False)
    assert Interface.objects.get(is_boot=True).name == "eth1"
    assert Machine.objects.get().boot_mac == mac_of(900)
    assert Event.objects.filter(kind="address_changed").count() == 1


def test_a_new_address_is_an_event_and_updates_the_row_in_place():
    record(document())
    before = Interface.objects.get()
    moved = document()
    moved["interfaces"][1] |= {"ipv4": "10.65.0.1", "cidrv4": "10.65.0.1/14"}
    record(moved)
    after = Interface.objects.get()
    assert (after.pk, after.ipv4) == (before.pk, "10.65.0.1")
    assert "10.65.0.1" in Event.objects.get(kind="address_changed").message


def test_switch_ports_follow_the_cable():
    record(document())
    moved = document()
    link = moved["lldp"]["data"]["interfaces"][0]
    link["port"]["id"] = "Ethernet9/9"
    record(moved)
    assert ChassisPort.objects.get().port_id == "Ethernet9/9"
    link["chassis"] = {"id": "other", "name": "tor-other"}
    record(moved)
    assert ChassisPort.objects.get().chassis.name == "tor-other"
    record(document(lldp={"is_file": False, "data": {"interfaces": None}}))
    assert not ChassisPort.objects.exists()


def test_machines_share_a_chassis_and_its_name_follows():
    record(document(1))
    renamed = document(5)
    renamed["lldp"]["data"]["interfaces"][0]["chassis"]["name"] = "tor-new"
    record(renamed)
    assert Chassis.objects.get().name == "tor-new"


def test_a_report_leads_back_to_discovery_with_a_history_row():
    machine = record(document()).machine
    Machine.objects.filter(pk=machine.pk).update(state=State.BOOTING)
    record(document())
    assert Machine.objects.get().state == State.DISCOVERY
    assert StateChange.objects.count() == 2


def test_a_discovered_mac_is_no_longer_unknown():
    UnknownBootFactory.create(mac=mac_of(1))
    record(document())
    assert not UnknownBoot.objects.exists()


def test_hardware_is_kept_and_the_document_too():
    hardware = {"serial": "S1", "product": "P", "cpu-count": 8, "memory-bytes": 2**36}
    machine = record(document(hardware=hardware, extra={"kept": [1]})).machine
    machine.refresh_from_db()
    assert (machine.serial, machine.product) == ("S1", "P")
    assert (machine.cpu_count, machine.memory_bytes) == (8, 2**36)
    assert machine.facts["extra"] == {"kept": [1]}


def test_journals_are_kept_per_boot_and_bounded():
    for number in range(KEPT_PER_MACHINE + 3):
        whole = document()
        whole["boot-info"]["random-id"] = f"boot-{number}"
        record(whole)
    assert BootJournal.objects.count() == KEPT_PER_MACHINE
    assert not BootJournal.objects.filter(boot_id="boot-2").exists()
    newest = BootJournal.objects.get(boot_id=f"boot-{KEPT_PER_MACHINE + 2}")
    assert journal_lines(newest) == document()["ignition-journal"]
    assert newest.line_count == 2


def test_a_longer_journal_of_the_same_boot_replaces_the_shorter():
    record(document())
    record(document() | {"ignition-journal": ["a", "", "c"]})
    assert journal_lines(BootJournal.objects.get()) == ["a", "", "c"]


def test_a_journal_without_boot_id_is_kept_once():
    whole = document()
    whole["boot-info"]["random-id"] = None
    record(whole)
    record(whole)
    assert BootJournal.objects.get().boot_id.startswith("unnamed-")


def test_only_what_matters_is_announced(announced):
    (machine_id,) = announced(document())
    assert announced(document()) == []
    assert announced(document() | {"ignition-journal": ["x"]}) == []
    assert announced(document(uptime=5)) == []
    assert announced(document(disks=[])) == [machine_id]


def test_a_new_machine_costs_a_fixed_number_of_queries(django_assert_max_num_queries):
    record(document(1))
    whole = document(2)
    for number in range(20):
        whole["interfaces"].append(
            whole["interfaces"][1]
            | {
                "name": f"p{number}",
                "mac": mac_of(5000 + number),
                "ipv4": None,
                "cidrv4": None,
                "netmask": None,
            }
        )
        whole["disks"].append({"path": f"/dev/p{number}", "size-bytes": number})
    with django_assert_max_num_queries(40):
        record(whole)
    with django_assert_max_num_queries(4):
        record(whole)


def test_a_receiver_that_fails_does_not_break_the_report(django_capture_on_commit_callbacks):
    def fail(**kwargs: Any) -> None:
        raise RuntimeError("receiver")

    facts_changed.connect(fail)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            assert record(document()).is_new
    finally:
        facts_changed.disconnect(fail)


@settings(
    max_examples=20,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)
@given(st.permutations(["-", ":", ".", ""]), st.booleans(), st.sampled_from(range(50)))
def test_any_spelling_of_the_same_macs_is_the_same_machine(db, separators, is_upper, number):
    def spelled(separator: str) -> str:
        digits = mac_of(number).replace(":", "")
        size = 4 if separator == "." else 2
        parts = [digits[i : i + size] for i in range(0, 12, size)]
        text = separator.join(parts)
        return text.upper() if is_upper else text

    Machine.objects.all().delete()
    for separator in separators:
        whole = document(number)
        whole["boot-info"] |= {"mac": spelled(separator), "uuid": uuid_of(number).upper()}
        whole["interfaces"][1]["mac"] = spelled(separators[0])
        record(whole)
    assert Machine.objects.count() == Interface.objects.count() == 1
    assert Machine.objects.get().boot_mac == mac_of(number)


@st.composite
def fleets_of_one(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Some different reports of one machine, which always keeps its first interface."""
    reports = []
    for _ in range(draw(st.integers(1, 4))):
        whole = document(1)
        eth0 = whole["interfaces"][1]
        for number in draw(st.lists(st.integers(0, 5), unique=True)):
            address = draw(st.sampled_from([None, f"10.65.0.{number}", "10.65.0.9"]))
            further = {"name": f"p{number}", "mac": mac_of(100 + draw(st.integers(0, 9)))}
            cidr = f"{address}/14" if address else ""
            whole["interfaces"].append(eth0 | further | {"ipv4": address, "cidrv4": cidr})
        whole["interfaces"] = draw(st.permutations(whole["interfaces"]))
        listed = [one for one in whole["interfaces"] if one["mac"]]
        whole["boot-info"]["mac"] = draw(st.sampled_from(listed))["mac"]
        sizes = draw(st.dictionaries(st.sampled_from("abc"), st.integers(0, 2**40)))
        whole["disks"] = [{"path": f"/dev/{k}", "size-bytes": v} for k, v in sizes.items()]
        links = [
            {
                "name": one["name"],
                "chassis": {"id": draw(st.sampled_from(["x", "y"]))},
                "port": {"id": draw(st.sampled_from(["1", "2"]))},
            }
            for one in listed
            if draw(st.booleans())
        ]
        whole["lldp"]["data"]["interfaces"] = links
        reports.append(whole)
    return reports


@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)
@given(fleets_of_one())
def test_after_any_reports_the_rows_are_those_of_the_last_one(db, reports):
    Machine.objects.all().delete()
    for whole in [*reports, reports[-1]]:
        record(whole)
    last = parse_report(reports[-1])
    machine = Machine.objects.get()
    fields = ("name", "mac", "ipv4", "netmask", "cidrv4", "gateway", "fqdn", "is_boot")
    stored = {tuple(getattr(row, name) for name in fields) for row in machine.interfaces.all()}
    assert stored == {tuple(getattr(one, name) for name in fields) for one in last.interfaces}
    assert {(row.path, row.size_bytes) for row in machine.disks.all()} == {
        (disk.path, disk.size_bytes) for disk in last.disks
    }
    ports = ChassisPort.objects.values_list("interface__name", "chassis__chassis_id", "port_id")
    assert set(ports) == {(link.interface, link.chassis_id, link.port_id) for link in last.lldp}
