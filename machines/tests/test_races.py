"""Races with real threads and connections of their own."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections
from django.test import Client

from enjoliver.common.rawquery import parse_raw_query
from machines.discovery import parse_report
from machines.models import (
    BootJournal,
    Chassis,
    Disk,
    Event,
    Interface,
    Machine,
    MachineConflict,
    StateChange,
    UnknownBoot,
)
from machines.services import (
    boots,
    open_conflict,
    record_boot,
    record_discovery,
    record_query_mismatch,
    transition_machine,
)
from machines.states import State
from machines.tests.factories import MachineFactory, document, mac_of, uuid_of

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Run all calls at the same moment, each in a thread of its own; their results in order."""
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        try:
            start.wait(timeout=120)
            return call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [task.result() for task in [pool.submit(run, call) for call in calls]]


def recording(whole: dict[str, Any]) -> Callable[[], bool]:
    report = parse_report(whole)
    return lambda: record_discovery(report=report).is_new


def test_eight_equal_reports_make_one_machine_and_one_is_new():
    for number in range(1, 4):
        answers = at_once(*[recording(document(number))] * 8)
        assert sorted(answers) == [False] * 7 + [True]
    assert Machine.objects.count() == Interface.objects.count() == Disk.objects.count() == 3
    assert BootJournal.objects.count() == 3
    assert Event.objects.filter(kind="discovered").count() == 3


def test_eight_equal_posts_make_one_machine():
    body = json.dumps(document())

    def post() -> tuple[int, bool]:
        answer = Client().post("/discovery", body, content_type="application/json")
        return answer.status_code, answer.json()["new-discovery"]

    assert sorted(at_once(*[post] * 8)) == [(200, False)] * 7 + [(200, True)]
    assert Machine.objects.count() == 1


def test_different_reports_of_one_machine_leave_the_rows_of_one_of_them():
    at_once(
        *(
            recording(
                document(disks=[{"path": f"/dev/{name}{n}", "size-bytes": n} for n in range(3)])
            )
            for name in "abcdefgh"
        )
    )
    machine = Machine.objects.get()
    stored = {disk.path for disk in Disk.objects.all()}
    assert stored == {disk["path"] for disk in machine.facts["disks"]}


def test_machines_with_one_uuid_at_once_are_all_kept_and_told_apart():
    def twin(number: int) -> dict[str, Any]:
        whole = document(number)
        whole["boot-info"]["uuid"] = uuid_of(1)
        return whole

    assert at_once(*(recording(twin(number)) for number in range(1, 9))) == [True] * 8
    assert Machine.objects.count() == 8
    assert len(set(Machine.objects.values_list("discriminator", flat=True))) == 8
    assert MachineConflict.objects.filter(kind="duplicate_uuid").count() == 8


def test_machines_with_one_address_at_once_are_all_in_conflict():
    def clone(number: int) -> dict[str, Any]:
        whole = document(number)
        whole["interfaces"][1] |= {"ipv4": "10.64.9.9", "cidrv4": "10.64.9.9/14"}
        return whole

    at_once(*(recording(clone(number)) for number in range(1, 9)))
    assert MachineConflict.objects.filter(kind="shared_address").count() == 8


def test_machines_of_one_rack_at_once_share_their_chassis():
    assert at_once(*(recording(document(4 * number)) for number in range(1, 9))) == [True] * 8
    assert Chassis.objects.count() == 1


def test_of_eight_moves_one_wins():
    machine = MachineFactory.create(state=State.DISCOVERY)

    def move() -> bool:
        return transition_machine(
            machine=Machine(pk=machine.pk, state=State.DISCOVERY), to=State.INSTALL_GRANTED
        )

    assert sorted(at_once(*[move] * 8)) == [False] * 7 + [True]
    assert StateChange.objects.count() == 1


def test_boots_at_once_are_counted_each_and_leave_one_history_row(monkeypatch):
    monkeypatch.setattr(boots, "MAX_UNKNOWN_BOOTS", 4)
    unknown = parse_raw_query(f"mac={mac_of(50)}")
    at_once(*[lambda: record_boot(query=unknown)] * 8)
    assert UnknownBoot.objects.get().count == 8
    others = [parse_raw_query(f"mac={mac_of(100 + number)}") for number in range(8)]
    at_once(*(lambda query=query: record_boot(query=query) for query in others))
    # Those who came in one moment did not see each other; who comes next clears up.
    record_boot(query=parse_raw_query(f"mac={mac_of(200)}"))
    assert UnknownBoot.objects.count() == 4
    machine = MachineFactory.create()
    known = parse_raw_query(f"mac={machine.boot_mac}")
    at_once(*[lambda: record_boot(query=known)] * 8)
    assert StateChange.objects.count() == 1


def test_a_conflict_is_opened_once():
    machine = MachineFactory.create()

    def open_one() -> bool:
        return open_conflict(machine=machine, kind="changed_address", subject="10.0.0.1", detail="")

    assert sorted(at_once(*[open_one] * 8)) == [False] * 7 + [True]
    assert Event.objects.count() == 1


def test_mismatches_at_once_make_one_row_and_one_event():
    machine = MachineFactory.create()
    query = parse_raw_query(f"uuid={uuid_of(999)}&mac={machine.boot_mac}")
    at_once(*[lambda: record_query_mismatch(machine=machine, query=query)] * 8)
    assert MachineConflict.objects.count() == Event.objects.count() == 1
