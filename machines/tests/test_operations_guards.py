"""What the apps above may say to operations on machines: objections, mutes; naming a machine."""

import pytest

from enjoliver.common.errors import Conflict, UnknownMachine
from machines.lookup import find_named_machine
from machines.models import Event
from machines.services import (
    add_mute,
    add_reinstall_objection,
    record_event,
    remove_mute,
    remove_reinstall_objection,
    request_reinstall,
)
from machines.tests.factories import MachineFactory

pytestmark = pytest.mark.django_db


def test_a_reinstall_that_does_harm_must_be_forced():
    machine = MachineFactory.create(installed=True)
    objection = {machine.pk: "its data would be lost"}
    reader = lambda one: objection.get(one.pk)  # noqa: E731
    add_reinstall_objection(reader)
    add_reinstall_objection(reader)
    try:
        with pytest.raises(Conflict, match="its data would be lost; it can be forced"):
            request_reinstall(machine=machine, actor="ada", reason="x")
        machine.refresh_from_db()
        assert machine.installed_at is not None
        request_reinstall(machine=machine, actor="ada", reason="x", is_forced=True)
    finally:
        remove_reinstall_objection(reader)
    assert machine.reinstall_requested_at is not None


def test_a_muted_machines_warnings_are_kept_as_plain_events():
    muted, loud = MachineFactory.create_batch(2)
    mute = {muted.pk}.__contains__
    add_mute(mute)
    try:
        for machine in (muted, loud, None):
            record_event(kind="silent", message="x", machine=machine, level="warning")
    finally:
        remove_mute(mute)
    levels = Event.objects.filter(kind="silent").order_by("pk").values_list("level", flat=True)
    assert list(levels) == ["info", "warning", "warning"]


def test_a_machine_is_named_by_mac_uuid_serial_or_name():
    machine = MachineFactory.create(serial="SN1", boot_interface__fqdn="r1-srv1.dc1.test")
    dashes = machine.boot_mac.upper().replace(":", "-")
    for text in (dashes, machine.uuid.upper(), "SN1", "R1-SRV1.dc1.test", "r1-srv1"):
        assert find_named_machine(text) == machine, text
    for text in ("", "r1", "sn"):
        with pytest.raises(UnknownMachine):
            find_named_machine(text)


def test_a_name_that_several_machines_go_by_is_refused_with_their_macs():
    first, second = (MachineFactory.create(serial="SN1") for _ in range(2))
    with pytest.raises(Conflict, match=first.boot_mac) as refused:
        find_named_machine("SN1")
    assert second.boot_mac in refused.value.value


def test_machines_with_one_mac_are_told_apart_by_their_uuids():
    board = MachineFactory.create()
    swapped = MachineFactory.create(boot_mac=board.boot_mac)
    with pytest.raises(Conflict, match="its MAC or UUID") as refused:
        find_named_machine(board.boot_mac)
    for machine in (board, swapped):
        assert machine.uuid in refused.value.value
        assert find_named_machine(machine.uuid) == machine
