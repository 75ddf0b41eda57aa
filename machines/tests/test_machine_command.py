"""`manage.py machine`: one machine from a shell."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from machines.discovery import parse_report
from machines.models import Event
from machines.services import mark_installed, record_discovery
from machines.tests.factories import EPOCH, document, mac_of, uuid_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def machine():
    """A machine that reported, and is installed."""
    found = record_discovery(report=parse_report(document(1))).machine
    mark_installed(machine=found, at=EPOCH)
    return found


def run(*words: str) -> str:
    out = StringIO()
    call_command("machine", *words, stdout=out)
    return out.getvalue()


@pytest.mark.parametrize(
    "name",
    [
        mac_of(1),
        mac_of(1).replace(":", "-").upper(),
        uuid_of(1),
        "r1-srv1.dc1.example.test",
        "r1-srv1",
        "R1-SRV1",
    ],
)
def test_a_machine_is_found_by_any_of_its_names(machine, name):
    assert json.loads(run("show", "--json", name))["uuid"] == uuid_of(1)


def test_show_tells_what_it_reported_and_where_it_is_plugged_in(machine):
    facts = json.loads(run("show", "--json", mac_of(1)))
    assert facts["installed_at"].startswith("2026-01-01")
    assert facts["disks"][0]["path"] == "/dev/sda"
    assert facts["neighbours"] == [
        {"interface": "eth0", "chassis": "tor-rack-1", "port": "Ethernet1/1"}
    ]
    assert "serial = " in run("show", mac_of(1))


def test_a_reinstall_is_asked_for_with_who_and_why(machine):
    said = run("reinstall", "r1-srv1", "--reason", "its disk was swapped")
    assert "next network boot" in said
    machine.refresh_from_db()
    assert machine.installed_at is None
    assert machine.reinstall_requested_at is not None
    event = Event.objects.get(kind="reinstall_requested")
    assert "its disk was swapped" in event.message
    assert event.actor.endswith("(command line)")


@pytest.mark.parametrize("reason", [" ", "x" * 201, "two\nlines"])
def test_a_reason_is_one_line_of_some_length(machine, reason):
    with pytest.raises(CommandError, match="--reason"):
        run("reinstall", mac_of(1), "--reason", reason)
    machine.refresh_from_db()
    assert machine.installed_at == EPOCH


@pytest.mark.parametrize("name", ["nobody", "52:54:00:ff:ff:ff", "srv1", "", "%"])
def test_a_name_that_no_machine_has_is_said(machine, name):
    with pytest.raises(CommandError, match="no machine has"):
        run("show", name)


def test_a_name_of_two_machines_is_refused_and_their_macs_are_told(machine):
    other = document(5, **{"boot-info": {"uuid": uuid_of(1), "mac": mac_of(5), "random-id": "x"}})
    record_discovery(report=parse_report(other))
    with pytest.raises(CommandError, match=f"{mac_of(1)}.*{mac_of(5)}"):
        run("reinstall", uuid_of(1), "--reason", "which one?")
