"""A backup replayed into an empty engine gives the same fleet."""

import json
from itertools import pairwise

import httpx
import pytest
from django.core.management import CommandError, call_command

from enjoliver.engine.export import PAGE, export_playbook
from enjoliver.engine.playbook import steps_over_http
from machines.discovery import parse_report
from machines.models import ChassisPort, Disk, Interface, Machine
from machines.services import record_discovery
from machines.tests.factories import document, mac_of, uuid_of
from scheduling.models import Assignment, Cluster
from scheduling.roles import CONTROL_PLANE_ROLES, RoleName
from scheduling.services import assign_roles

pytestmark = pytest.mark.django_db


def discover(number, **changes):
    return record_discovery(report=parse_report(document(number, **changes))).machine


@pytest.fixture
def fleet():
    """Two control-plane machines, an incomplete one, a node, a twin of its UUID, one that waits."""
    machines = [discover(number) for number in range(1, 6)]
    twin = document(6)
    twin["boot-info"]["uuid"] = uuid_of(4)
    record_discovery(report=parse_report(twin))
    discover(7, disks=None, lldp={"is_file": False, "data": {"interfaces": None}})
    assign_roles(machine=machines[4], roles=[RoleName.ETCD_MEMBER], actor="test")
    for machine in machines[:2]:
        assign_roles(machine=machine, roles=list(CONTROL_PLANE_ROLES), actor="test")
    assign_roles(machine=machines[3], roles=[RoleName.NODE], actor="test")


def snapshot():
    """All that makes the fleet, without keys and times."""
    return {
        "machines": sorted(Machine.objects.values_list("uuid", "boot_mac", "facts_digest")),
        "interfaces": sorted(
            Interface.objects.values_list(
                "machine__boot_mac", "name", "mac", "ipv4", "cidrv4", "netmask", "gateway", "fqdn"
            ),
            key=str,
        ),
        "disks": sorted(Disk.objects.values_list("machine__boot_mac", "path", "size_bytes")),
        "lldp": sorted(
            ChassisPort.objects.values_list("interface__mac", "chassis__chassis_id", "port_id")
        ),
        "assignments": sorted(
            (
                assignment.boot_mac,
                assignment.pod_index,
                assignment.profile,
                assignment.ipv4,
                tuple(role.role for role in assignment.roles.order_by("position")),
            )
            for assignment in Assignment.objects.all()
        ),
    }


def empty_engine():
    Assignment.objects.all().delete()
    Machine.objects.all().delete()


def test_every_machine_is_exported_and_roles_follow_their_machine(fleet):
    playbook = list(export_playbook())
    routes = [entry["route"] for entry in playbook]
    assert (routes.count("/discovery"), routes.count("/scheduler")) == (7, 4)
    for before, entry in pairwise(playbook):
        if entry["route"] == "/scheduler":
            assert before["data"]["boot-info"]["mac"] == entry["data"]["selector"]["mac"]


def test_the_export_is_complete(fleet):
    first = next(export_playbook())["data"]
    assert first["lldp"]["data"]["interfaces"]
    assert first["interfaces"][1]["cidrv4"].endswith("/14")
    assert first["boot-info"]["random-id"]


def test_a_round_trip_gives_the_same_fleet(fleet, admin_client, tmp_path, capsys):
    before = snapshot()
    answer = admin_client.get("/backup/export")
    assert answer.streaming
    file = tmp_path / "backup.json"
    file.write_bytes(answer.getvalue())
    empty_engine()
    call_command("backup_import", str(file))
    assert snapshot() == before
    assert "7 machines, 4 with roles" in capsys.readouterr().out
    assert Cluster.objects.get(name="default").is_scheduling_enabled


def test_the_export_pages_through_a_large_fleet(django_assert_num_queries):
    from scheduling.tests.factories import make_fleet

    make_fleet(PAGE + 10)
    with django_assert_num_queries(5):
        assert sum(1 for _ in export_playbook()) == PAGE + 10


def test_assignments_are_paged_over_clusters(fleet, monkeypatch):
    monkeypatch.setattr("enjoliver.engine.export.PAGE", 2)
    other = Cluster.objects.create(name="other")
    Assignment.objects.filter(boot_mac=mac_of(4)).update(cluster=other)
    schedules = [entry for entry in export_playbook() if entry["route"] == "/scheduler"]
    assert [entry["data"]["selector"]["mac"] for entry in schedules] == [
        mac_of(5),
        mac_of(1),
        mac_of(2),
        mac_of(4),
    ]


def test_no_machine_is_an_empty_list(admin_client):
    assert json.loads(admin_client.get("/backup/export").getvalue()) == []


def test_an_engine_with_machines_is_not_overwritten(fleet, tmp_path):
    file = tmp_path / "backup.json"
    file.write_text(json.dumps(list(export_playbook())))
    with pytest.raises(CommandError, match="has machines already"):
        call_command("backup_import", str(file))
    before = snapshot()
    call_command("backup_import", str(file), "--merge")
    assert snapshot() == before


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "backup.json"),
        ("{}", "a backup is a list"),
        ('[{"route": "/shutdown", "data": {}}]', "entry 0"),
        ("[3]", "entry 0"),
        ('[{"route": "/discovery", "data": {}}]', "boot-info"),
        ('[{"route": "/scheduler", "data": {"roles": []}}]', "selector"),
        ('[{"route": "/scheduler", "data": {"roles": [], "selector": {}}}]', "mac"),
    ],
)
def test_a_bad_backup_is_told_and_scheduling_goes_on(tmp_path, content, reason):
    file = tmp_path / "backup.json"
    file.write_text(content)
    with pytest.raises(CommandError, match=reason):
        call_command("backup_import", str(file))
    assert Cluster.objects.get(name="default").is_scheduling_enabled


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(CommandError, match="No such file"):
        call_command("backup_import", str(tmp_path / "none.json"))


def test_over_http_every_entry_is_one_request(fleet):
    asked = []

    def answer(request):
        asked.append((request.url.path, json.loads(request.content)))
        return httpx.Response(200, json={})

    with httpx.Client(
        base_url="http://engine.example", transport=httpx.MockTransport(answer)
    ) as client:
        discover_there, schedule_there = steps_over_http(client)
        playbook = list(export_playbook())
        for entry in playbook:
            step = discover_there if entry["route"] == "/discovery" else schedule_there
            step(entry["data"])
    assert asked == [(entry["route"], entry["data"]) for entry in playbook]


def test_a_refused_request_stops_the_replay(fleet):
    transport = httpx.MockTransport(lambda request: httpx.Response(401))
    with httpx.Client(base_url="http://engine.example", transport=transport) as client:
        discover_there, _ = steps_over_http(client)
        with pytest.raises(httpx.HTTPStatusError):
            discover_there({})
