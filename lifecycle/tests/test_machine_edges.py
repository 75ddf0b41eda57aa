"""Maintenance, retire, replace, reinstall, install limits: by command, API and console."""

import io
import json

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone

from lifecycle.models import (
    IgnitionReport,
    InstallLimit,
    Maintenance,
    Replacement,
    ReplacementState,
)
from lifecycle.services import ask_to_install
from lifecycle.tests.factories import query_of
from machines.models import Machine
from machines.tests.factories import mac_of
from scheduling.models import Assignment, Waiting
from scheduling.roles import PROFILE_CONTROL_PLANE
from scheduling.services import default_cluster, run_scheduler, set_requirements
from scheduling.tests.factories import make_machine

pytestmark = pytest.mark.django_db


def run(*words):
    out = io.StringIO()
    call_command(*words, stdout=out)
    return out.getvalue()


def send(client, path, document=None):
    return client.post(f"/api/v1/{path}", document or {}, content_type="application/json")


@pytest.fixture
def fleet(db):
    """Three members that report now, and two free machines."""
    cluster, now = default_cluster(), timezone.now()
    set_requirements(cluster=cluster, role="node", actor="test", count=0)
    for number in range(1, 4):
        machine = make_machine(number, fqdn=f"r{number}-srv{number}.dc1.x", running=True)
        IgnitionReport.objects.create(
            machine=machine, is_up_to_date=True, reported_at=now, created_at=now
        )
    run_scheduler(cluster=cluster, now=now)
    for number in (4, 5):
        make_machine(number, fqdn=f"r{number}-srv{number}.dc1.x")
    run_scheduler(cluster=cluster, now=now)
    return cluster


def machine(number):
    return Machine.objects.get(boot_mac=mac_of(number))


def members():
    rows = Assignment.objects.filter(profile=PROFILE_CONTROL_PLANE)
    return sorted(rows.values_list("boot_mac", flat=True))


def test_maintenance_by_command(fleet):
    assert run("maintenance", "list") == "no machine is in maintenance\n"
    shown = run("maintenance", "on", mac_of(1), "--reason", "a new disk", "--until", "2h")
    assert "a new disk (until " in shown
    with pytest.raises(CommandError, match="would be left"):
        run("maintenance", "on", mac_of(2), "--reason", "x")
    assert "x" in run("maintenance", "on", mac_of(2), "--reason", "x", "--force")
    assert len(json.loads(run("maintenance", "list", "--json"))) == 2
    assert "its maintenance ended" in run("maintenance", "off", mac_of(1))
    assert "was not in maintenance" in run("maintenance", "off", mac_of(1))
    with pytest.raises(CommandError, match="expected 2026"):
        run("maintenance", "on", mac_of(1), "--reason", "x", "--until", "soon")
    assert run("maintenance", "on", mac_of(4), "--reason", "x", "--until", "2100-01-01T00:00")


def test_maintenance_by_api(client, admin_client, fleet):
    answer = send(
        admin_client, "maintenance/r1-srv1", {"reason": "a", "until": "2100-01-01T00:00:00Z"}
    )
    assert answer.json()["mac"] == mac_of(1)
    assert [one["reason"] for one in client.get("/api/v1/maintenance").json()["items"]] == ["a"]
    assert send(admin_client, f"maintenance/{mac_of(2)}", {"reason": "b"}).status_code == 409
    for document in ({}, {"reason": 1}, {"reason": "x", "until": "2100"}, {"reason": "x", "y": 1}):
        answer = send(admin_client, f"maintenance/{mac_of(4)}", document)
        assert answer.status_code == 400, document
    assert send(admin_client, "maintenance/nobody", {"reason": "x"}).status_code == 404
    assert admin_client.delete(f"/api/v1/maintenance/{mac_of(1)}").json() == {"ended": True}
    assert client.delete(f"/api/v1/maintenance/{mac_of(1)}").status_code == 401
    assert not Maintenance.objects.exists()


@pytest.mark.parametrize("end", ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59"])
@pytest.mark.parametrize(
    ("path", "key"), [(f"maintenance/{mac_of(4)}", "until"), ("freezes", "ends_at")]
)
def test_a_time_beyond_the_calendar_is_no_time(admin_client, fleet, path, key, end):
    answer = send(admin_client, path, {"reason": "x", key: end})
    assert (answer.status_code, list(answer.json()["fields"])) == (400, [key])
    assert "2026-05-01T08:00:00Z" in answer.json()["value"]


def test_retire_and_back_by_command_and_api(admin_client, fleet):
    assert "is retired" in run("retire", mac_of(4), "--reason", "sold")
    assert "was retired already" in run("retire", mac_of(4), "--reason", "sold")
    assert "is the scheduler's again" in run("retire", mac_of(4), "--undo")
    assert "was neither" in run("retire", mac_of(4), "--undo")
    with pytest.raises(CommandError, match="replace it"):
        run("retire", mac_of(1), "--reason", "sold")
    answer = send(admin_client, f"machines/{mac_of(5)}/retire", {"reason": "sold"})
    assert answer.json() == {"done": True}
    assert send(admin_client, f"machines/{mac_of(5)}/readmit").json() == {"done": True}
    assert send(admin_client, f"machines/{mac_of(1)}/retire", {"reason": "x"}).status_code == 409
    assert send(admin_client, f"machines/{mac_of(5)}/retire").status_code == 400


def test_reinstall_by_api_and_command_minds_the_control_plane(admin_client, fleet):
    path = f"machines/{mac_of(1)}/reinstall"
    assert send(admin_client, path, {"reason": "x"}).status_code == 409
    with pytest.raises(CommandError, match="etcd data would be lost"):
        run("machine", "reinstall", mac_of(1), "--reason", "x")
    assert send(admin_client, path, {"reason": "x", "force": True}).json() == {"done": True}
    assert machine(1).reinstall_requested_at is not None


def test_a_replacement_by_command(fleet):
    plan = run("replace", "plan", mac_of(1))
    assert "mind: the member that goes still works" in plan
    assert f"spare {mac_of(4)} in site:dc1/rack:4: spread 100" in plan
    assert run("replace", "status") == "no replacement yet\n"
    started = run("replace", "start", mac_of(1), "--reason", "dead", "--spare", mac_of(5))
    assert f"{mac_of(1)} by {mac_of(5)}: running" in started
    assert "next: wait until the new member is installed" in started
    assert f"by {mac_of(4)}" in run("replace", "again")
    (status,) = json.loads(run("replace", "status", "--json"))
    assert (status["joining"], status["step"]) == (mac_of(4), "install")
    assert "cancelled: by hand" in run("replace", "cancel", "--reason", "by hand")
    with pytest.raises(CommandError, match="none runs"):
        run("replace", "cancel", "--reason", "x")
    with pytest.raises(CommandError, match="no member"):
        run("replace", "plan", mac_of(5))
    assert members() == [mac_of(2), mac_of(3), mac_of(4)]


def test_a_replacement_by_api(client, admin_client, fleet):
    plan = client.get(f"/api/v1/replacement-plan?machine={mac_of(1)}").json()
    assert ([one["mac"] for one in plan["spares"]], plan["obstacles"]) == (
        [mac_of(4), mac_of(5)],
        [],
    )
    assert client.get("/api/v1/replacement-plan").status_code == 400
    assert client.get(f"/api/v1/replacement-plan?machine={mac_of(4)}").status_code == 409
    answer = send(admin_client, "replacements", {"machine": mac_of(1), "reason": "dead"})
    row = answer.json()
    assert (row["leaving"], row["joining"], row["step"]) == (mac_of(1), mac_of(4), "install")
    path = f"replacements/{row['id']}"
    assert client.get(f"/api/v1/{path}").json()["waits_for"].endswith("is it switched on?")
    assert send(admin_client, f"{path}/again", {"spare": mac_of(5)}).json()["joining"] == mac_of(5)
    assert send(admin_client, f"{path}/cancel", {"reason": "x"}).json()["state"] == "cancelled"
    assert send(admin_client, f"{path}/cancel", {"reason": "x"}).status_code == 409
    assert len(client.get("/api/v1/replacements").json()["items"]) == 1
    for unknown in ("0", "x", "9" * 30):
        assert client.get(f"/api/v1/replacements/{unknown}").status_code == 404
    assert send(client, "replacements", {"machine": mac_of(1), "reason": "x"}).status_code == 401


def test_install_limits_and_queue_by_command_and_api(client, admin_client, fleet, settings):
    settings.INSTALL_CONCURRENCY = 5
    assert run("installs", "queue") == "nobody installs, nobody waits\n"
    assert "rack (each): 1" in run("installs", "limit", "rack", "1")
    answer = send(
        admin_client, "install-limits", {"scope": "site", "name": "dc1", "concurrency": 1}
    )
    assert answer.json()["items"] == [
        {"scope": "rack", "name": "", "concurrency": 1},
        {"scope": "site", "name": "dc1", "concurrency": 1},
    ]
    for number in (4, 5):
        one = machine(number)
        ask_to_install(machine=one, raw_query=query_of(one), source=None)
    queue = client.get("/api/v1/install-queue").json()
    assert [one["mac"] for one in queue["installing"]] == [mac_of(4)]
    assert [one["rack"] for one in queue["waiting"]] == ["site:dc1/rack:5"]
    assert f"1. {mac_of(5)} in site:dc1/rack:5" in run("installs", "queue")
    assert "(each)" not in run("installs", "limit", "rack", "none")
    for document in ({"scope": "row", "concurrency": 1}, {"scope": "rack", "concurrency": "x"}):
        assert send(admin_client, "install-limits", document).status_code == 400
    with pytest.raises(CommandError):
        run("installs", "limit", "rack", "many")
    assert send(client, "install-limits", {}).status_code == 401
    assert client.get("/api/v1/install-limits").json()["site_default"] == 5
    assert "each site without a limit of its own: 5" in run("installs", "limits")


def act(client, model, action, rows, **form):
    page = reverse(f"admin:{model}_changelist")
    data = {"action": action, "_selected_action": [row.pk for row in rows], **form}
    return client.post(page, data, follow=True).content.decode()


def test_the_console_puts_machines_into_maintenance_retires_and_replaces(admin_client, fleet):
    page = "machines_machine"
    assert "1 machine is in maintenance" in act(
        admin_client, page, "maintenance_on", [machine(4)], reason="a new disk"
    )
    shown = admin_client.get(reverse("admin:lifecycle_maintenance_changelist"))
    assert "a new disk" in shown.content.decode()
    kept = Maintenance.objects.all()
    assert "1 machine is back" in act(admin_client, "lifecycle_maintenance", "end", kept)
    assert "reason is needed" in act(admin_client, page, "retire", [machine(4)])
    assert "1 machine is retired" in act(admin_client, page, "retire", [machine(4)], reason="x")
    assert "1 replacement began" in act(
        admin_client, page, "replace", [machine(1)], reason="dead board"
    )
    row = Replacement.objects.all()
    assert row[0].joining == machine(5)
    shown = admin_client.get(reverse("admin:lifecycle_replacement_change", args=[row[0].pk]))
    assert "is it switched on?" in shown.content.decode()
    assert "no machine is free" in act(admin_client, "lifecycle_replacement", "again", row)
    assert "1 replacement is cancelled" in act(
        admin_client, "lifecycle_replacement", "cancel", row, reason="x"
    )
    assert Replacement.objects.get().state == ReplacementState.CANCELLED
    assert Waiting.objects.get(machine=machine(4)).code == "retired"


def test_the_console_sets_limits(admin_client, db):
    page = reverse("admin:lifecycle_installlimit_add")
    form = {"scope": "rack", "name": "", "concurrency": "3"}
    assert admin_client.post(page, form).status_code == 302
    limit = InstallLimit.objects.get()
    page = reverse("admin:lifecycle_installlimit_change", args=[limit.pk])
    assert admin_client.post(page, form | {"concurrency": "4"}).status_code == 302
    assert InstallLimit.objects.get().concurrency == 4
    page = reverse("admin:lifecycle_installlimit_delete", args=[limit.pk])
    assert admin_client.post(page, {"post": "yes"}).status_code == 302
    assert not InstallLimit.objects.exists()


def test_a_running_replacement_is_advanced_when_its_status_is_asked(fleet):
    run("replace", "start", mac_of(1), "--reason", "dead")
    now = timezone.now()
    joined = Machine.objects.get(replacements_in__state="running")
    Machine.objects.filter(pk=joined.pk).update(installed_at=now)
    IgnitionReport.objects.create(
        machine=joined, is_up_to_date=True, reported_at=now, created_at=now
    )
    assert "completed" in run("replace", "status")
