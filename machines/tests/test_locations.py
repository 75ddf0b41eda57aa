"""Where machines stand: from imports, labels, switches, names; stored, and kept right."""

from __future__ import annotations

import pytest

from machines.discovery import parse_report
from machines.locations import locations_of
from machines.models import Chassis, ImportedLocation, Machine, MachineLocation
from machines.services import import_locations, record_discovery, set_labels
from machines.tests.factories import (
    ChassisPortFactory,
    MachineFactory,
    document,
    mac_of,
    uuid_of,
)
from machines.topology import Level, Location, locate

pytestmark = pytest.mark.django_db
SPINE = Location(site="dc9", row="b", rack="7")


def discover(number=1, **changes):
    return record_discovery(report=parse_report(document(number, **changes))).machine


def stored(machine):
    return MachineLocation.objects.get(machine=machine).location


def test_a_report_stores_where_the_machine_stands():
    machine = discover(5)
    assert stored(machine) == Location(site="dc1", rack="1", chassis="tor-rack-1")
    assert locations_of([machine.pk]) == {machine.pk: stored(machine)}


def test_labels_tell_more_than_the_name_and_an_import_more_than_labels():
    machine = discover(5)
    set_labels(machine=machine, labels={"rack": "12", "row": "c", "site": "dc2"}, actor="ada")
    assert stored(machine) == Location("dc2", "c", "12", "tor-rack-1")
    import_locations(places={machine.boot_mac: SPINE}, actor="ada")
    assert stored(machine) == Location("dc9", "b", "7", "tor-rack-1")


def test_a_name_whose_rack_is_contradicted_is_not_believed_about_the_site():
    place = locate(chassis_names=(), labels={"rack": "7"}, fqdn="r8-srv1.dc1.example")
    assert place == Location(rack="7")
    place = locate(chassis_names=(), labels={"rack": "8"}, fqdn="r8-srv1.dc1.example")
    assert place == Location(site="dc1", rack="8")


@pytest.mark.parametrize(
    "key",
    [mac_of(5).upper().replace(":", "-"), uuid_of(5), "SN-0005", "R1-SRV5.dc1.example.test"],
)
def test_a_line_names_its_machine_by_mac_uuid_serial_or_name(key):
    machine = discover(5, hardware={"serial": "sn-0005"})
    result = import_locations(places={key: SPINE}, actor="ada")
    assert (result.added, result.moved, result.unknown) == (1, 1, ())
    assert stored(machine).rack == "7"


def test_a_line_may_come_before_its_machine():
    result = import_locations(places={mac_of(5): SPINE}, actor="ada")
    assert result.unknown == (mac_of(5),)
    assert stored(discover(5)).rack == "7"


def test_an_import_again_changes_nothing_and_a_whole_one_removes_what_it_lacks():
    machine = discover(5)
    import_locations(places={mac_of(5): SPINE, mac_of(6): SPINE}, actor="ada")
    again = import_locations(places={mac_of(5): SPINE}, actor="ada")
    assert (again.added, again.changed, again.removed, again.moved) == (0, 0, 0, 0)
    assert import_locations(places={}, actor="ada", is_whole=True).removed == 2
    assert stored(machine) == Location("dc1", "", "1", "tor-rack-1")
    assert not ImportedLocation.objects.exists()


def test_a_switch_that_is_named_anew_moves_all_machines_on_it():
    first, second = discover(1), discover(5)
    link = document(1)["lldp"]["data"]["interfaces"][0]
    link["chassis"]["name"] = "tor-new"
    discover(1, lldp={"is_file": True, "data": {"interfaces": [link]}})
    assert Chassis.objects.get().name == "tor-new"
    assert stored(first).chassis == stored(second).chassis == "tor-new"


def test_the_same_report_again_writes_no_location(django_assert_max_num_queries):
    machine = discover(5)
    MachineLocation.objects.all().delete()
    discover(5)
    assert not MachineLocation.objects.filter(machine=machine).exists()


def test_a_machine_without_a_stored_row_is_found_out_from_its_facts(django_assert_num_queries):
    machine = MachineFactory.create(labels={"row": "z"})
    ChassisPortFactory.create(
        interface=machine.interfaces.get(), chassis=Chassis.objects.create(chassis_id="aa")
    )
    with django_assert_num_queries(5):
        place = locations_of([machine.pk])[machine.pk]
    assert (place.chassis, place.row, place.site) == ("aa", "z", "dc1")


def test_many_machines_cost_one_query(django_assert_num_queries):
    machines = [discover(number) for number in range(1, 9)]
    with django_assert_num_queries(1):
        assert len(locations_of([machine.pk for machine in machines])) == 8
    assert locations_of([]) == {}
    assert Machine.objects.count() == 8


@pytest.mark.parametrize(
    ("place", "domains"),
    [
        (Location("a", "b", "c", "d"), ("site:a", "site:a/row:b", "site:a/row:b/rack:c", "d")),
        (Location("a", "", "c", ""), ("site:a", "", "site:a/rack:c", "site:a/rack:c")),
        (Location("", "", "c", ""), ("", "", "rack:c", "rack:c")),
        (Location("", "", "", "d"), ("", "", "chassis:d", "chassis:d")),
        (Location(), ("", "", "", "")),
    ],
)
def test_the_domain_of_each_level(place, domains):
    *larger, chassis = domains
    chassis = f"chassis:{chassis}" if chassis == "d" else chassis
    assert place.domains() == (*larger, chassis)
    assert place.domain(Level.SITE) == domains[0]
