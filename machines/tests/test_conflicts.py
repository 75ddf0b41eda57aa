"""Identity: who is who, contradictions opened on both sides, closed when the facts agree."""

from __future__ import annotations

from typing import Any

import pytest

from enjoliver.common.errors import Conflict
from enjoliver.common.rawquery import parse_raw_query
from machines.discovery import parse_report
from machines.models import Event, Interface, Machine, MachineConflict
from machines.services import (
    close_conflicts,
    forget_machine,
    open_conflict,
    recheck_conflicts,
    record_discovery,
    record_query_mismatch,
)
from machines.signals import facts_changed
from machines.tests.factories import MachineFactory, address_of, document, mac_of, uuid_of

pytestmark = pytest.mark.django_db


def record(whole: dict[str, Any]) -> Machine:
    return record_discovery(report=parse_report(whole)).machine


def machine_document(
    number: int, *, uuid: int | None = None, mac: int | None = None, address: int | None = None
) -> dict[str, Any]:
    """The document of machine `number` with the UUID, boot MAC or address of another one."""
    whole = document(number)
    eth0 = whole["interfaces"][1]
    if uuid is not None:
        whole["boot-info"]["uuid"] = uuid_of(uuid)
    if mac is not None:
        whole["boot-info"]["mac"] = eth0["mac"] = mac_of(mac)
    if address is not None:
        eth0 |= {"ipv4": address_of(address), "cidrv4": f"{address_of(address)}/14"}
    return whole


def conflicts() -> set[tuple[int, str, str]]:
    return set(MachineConflict.objects.values_list("machine_id", "kind", "subject"))


def test_different_machines_do_not_contend():
    for number in range(1, 5):
        record(document(number))
    assert not conflicts()
    assert recheck_conflicts() == set()


def test_one_uuid_from_two_machines_keeps_both_and_tells_them_apart():
    first = record(machine_document(1))
    second = record(machine_document(2, uuid=1))
    assert first != second
    assert second.uuid == first.uuid
    assert second.discriminator == mac_of(2)
    assert conflicts() == {
        (first.pk, "duplicate_uuid", first.uuid),
        (second.pk, "duplicate_uuid", first.uuid),
    }
    assert Event.objects.filter(kind="conflict_opened").count() == 2
    assert record(machine_document(1)) == first
    assert record(machine_document(2, uuid=1)) == second


def test_many_machines_with_one_uuid_are_all_in_conflict_and_cost_no_more(
    django_assert_max_num_queries,
):
    machines = [record(machine_document(number, uuid=1)) for number in range(1, 9)]
    assert len(conflicts()) == 8
    with django_assert_max_num_queries(42):
        machines.append(record(machine_document(9, uuid=1)))
    assert {row[0] for row in conflicts()} == {machine.pk for machine in machines}


def test_a_machine_with_new_nics_only_is_another_machine():
    record(machine_document(1))
    record(machine_document(1, mac=2))
    assert Machine.objects.count() == 2
    assert {row[1] for row in conflicts()} == {"duplicate_uuid", "shared_address"}


def test_a_machine_that_keeps_one_nic_stays_itself():
    whole = document(1)
    eth0 = whole["interfaces"][1]
    further = eth0 | {"name": "eth1", "mac": mac_of(50), "ipv4": None, "cidrv4": None}
    whole["interfaces"].append(further | {"netmask": None})
    first = record(whole)
    whole["boot-info"]["mac"] = mac_of(50)
    whole["interfaces"] = [eth0 | {"mac": mac_of(50)}]
    assert record(whole) == first
    assert Machine.objects.count() == 1
    assert not conflicts()


def test_a_mac_under_another_uuid_is_a_conflict_of_both():
    first = record(machine_document(1))
    second = record(machine_document(2, mac=1))
    assert first != second
    assert conflicts() == {
        (first.pk, "shared_mac", mac_of(1)),
        (second.pk, "shared_mac", mac_of(1)),
    }


def test_one_boot_address_at_two_machines_is_a_conflict_of_both():
    first = record(machine_document(1))
    second = record(machine_document(2, address=1))
    assert conflicts() == {
        (first.pk, "shared_address", address_of(1)),
        (second.pk, "shared_address", address_of(1)),
    }


def test_addresses_of_further_interfaces_do_not_count():
    record(document(1))
    whole = document(2)
    further = document(1)["interfaces"][1] | {"name": "br0", "mac": mac_of(77)}
    whole["interfaces"].append(further)
    record(whole)
    assert not conflicts()


@pytest.mark.parametrize("number", [1, 2])
def test_conflicts_close_on_both_sides_when_either_agrees(number):
    record(machine_document(1))
    record(machine_document(2, address=1))
    record(machine_document(number, address=40))
    assert not conflicts()
    assert Event.objects.filter(kind="conflict_closed").count() == 2


def test_of_three_the_other_two_stay_in_conflict():
    first = record(machine_document(1))
    second = record(machine_document(2, address=1))
    record(machine_document(3, address=1))
    record(machine_document(3))
    assert {row[0] for row in conflicts()} == {first.pk, second.pk}


def test_who_contends_for_two_things_stays_in_conflict_over_both():
    record(machine_document(1))
    second = record(machine_document(2, uuid=1))
    third = record(machine_document(3, uuid=1))
    record(machine_document(4))
    before = conflicts()
    # The last of four that share the UUID has the second one's address too.
    fourth = record(machine_document(5, uuid=1, address=2))
    assert conflicts() >= before
    assert {kind for pk, kind, _ in conflicts() if pk == second.pk} == {
        "duplicate_uuid",
        "shared_address",
    }
    assert third.pk != fourth.pk


def test_an_unchanged_report_repairs_a_stale_conflict():
    first = record(document(1))
    MachineConflict.objects.create(
        machine=first,
        kind="shared_mac",
        subject=mac_of(1),
        detail="stale",
        opened_at=first.created_at,
        seen_at=first.created_at,
    )
    record(document(1))
    assert not conflicts()


def test_the_recheck_finds_what_concurrent_reports_missed_and_drops_what_is_stale(
    django_assert_max_num_queries,
):
    for number in range(1, 4):
        record(document(number))
    Interface.objects.filter(mac__in=[mac_of(1), mac_of(2)]).update(ipv4="10.99.0.1")
    Interface.objects.filter(mac=mac_of(3)).update(mac=mac_of(1))
    touched = recheck_conflicts()
    assert len(touched) == 3
    assert {(kind, subject) for _, kind, subject in conflicts()} == {
        ("shared_address", "10.99.0.1"),
        ("shared_mac", mac_of(1)),
    }
    Interface.objects.filter(mac=mac_of(2)).update(ipv4="10.99.0.2")
    recheck_conflicts()
    assert {kind for _, kind, _ in conflicts()} == {"shared_mac"}
    with django_assert_max_num_queries(8):
        assert recheck_conflicts() == set()


def test_forgetting_a_machine_closes_what_it_was_part_of():
    first = record(machine_document(1))
    second = record(machine_document(2, mac=1, address=1))
    assert len(conflicts()) == 4
    forget_machine(machine=first, actor="ada", reason="mainboard swapped")
    assert not conflicts()
    assert list(Machine.objects.all()) == [second]
    event = Event.objects.get(kind="machine_forgotten")
    assert (event.actor, event.machine) == ("ada", None)


def test_a_report_settles_what_a_query_said():
    machine = record(machine_document(1))
    query = parse_raw_query(f"uuid={uuid_of(99)}&mac={mac_of(1)}")
    record_query_mismatch(machine=machine, query=query)
    assert {row[1] for row in conflicts()} == {"query_mismatch"}
    record(machine_document(1))
    assert not conflicts()


def test_two_discriminators_never_collide():
    record(machine_document(1))
    second = record(machine_document(2, uuid=1))
    # The second machine changes its NICs one by one and leaves MAC 2 behind.
    whole = machine_document(2, uuid=1)
    eth0 = whole["interfaces"][1]
    whole["interfaces"].append(
        eth0 | {"name": "eth1", "mac": mac_of(60), "ipv4": None, "cidrv4": None, "netmask": None}
    )
    record(whole)
    whole["boot-info"]["mac"] = mac_of(60)
    whole["interfaces"] = [eth0 | {"mac": mac_of(60)}]
    assert record(whole) == second
    third = record(machine_document(2, uuid=1))
    assert third.discriminator == f"{mac_of(2)}#2"
    assert Machine.objects.count() == 3


def test_both_sides_of_a_conflict_are_announced_once(django_capture_on_commit_callbacks):
    heard: list[int] = []

    def hear(machine_id: int, **kwargs: Any) -> None:
        heard.append(machine_id)

    first = record(machine_document(1))
    facts_changed.connect(hear)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            second = record(machine_document(2, mac=1, address=1))
    finally:
        facts_changed.disconnect(hear)
    assert heard == [first.pk, second.pk]


def test_other_apps_open_and_close_conflicts_of_their_own(
    django_capture_on_commit_callbacks,
):
    machine = MachineFactory.create()

    def open_one(subject: str) -> bool:
        return open_conflict(
            machine=machine, kind="changed_address", subject=subject, detail="x" * 500
        )

    assert open_one("10.0.0.1")
    assert not open_one("10.0.0.1")
    assert open_one("10.0.0.2")
    assert close_conflicts(machine=machine, kind="changed_address", keep=["10.0.0.2"]) == 1
    assert close_conflicts(machine=machine, kind="changed_address", keep=["10.0.0.2"]) == 0
    assert {row[2] for row in conflicts()} == {"10.0.0.2"}


def test_a_machine_in_use_is_not_forgotten(monkeypatch):
    from django.db.models import ProtectedError

    machine = MachineFactory.create()

    def refuse(self: Machine) -> None:
        raise ProtectedError("an assignment", set())

    monkeypatch.setattr(Machine, "delete", refuse)
    with pytest.raises(Conflict):
        forget_machine(machine=machine, actor="ada", reason="")
    assert Machine.objects.filter(pk=machine.pk).exists()
