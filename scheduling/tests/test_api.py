"""The scheduler's routes over HTTP."""

import base64
import json

import pytest
from django.contrib.auth.models import Permission, User
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from machines.models import Event
from machines.tests.factories import InterfaceFactory, address_of, mac_of, uuid_of
from scheduling.models import AssignedRole, Assignment
from scheduling.reads import control_plane_members
from scheduling.roles import RoleName
from scheduling.services import assign_roles, default_cluster, run_scheduler
from scheduling.tests.factories import LATER, make_fleet, make_machine

pytestmark = pytest.mark.django_db
ETCD, PLANE, NODE = "etcd-member", "kubernetes-control-plane", "kubernetes-node"
USAGE = {"roles": [ETCD, PLANE, NODE], "selector": {"mac": ""}}


def basic(name, password):
    return {
        "HTTP_AUTHORIZATION": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()
    }


@pytest.fixture
def operator(cluster):
    user = User.objects.create_user("ada", password="secret")
    user.user_permissions.add(Permission.objects.get(codename="add_assignment"))
    return basic("ada", "secret")


@pytest.fixture
def post(client, operator):
    def send(document, **headers):
        body = document if isinstance(document, bytes | str) else json.dumps(document)
        return client.post("/scheduler", body, content_type="text/plain", **operator, **headers)

    return send


def ask(mac, *roles, **selector):
    return {"roles": list(roles), "selector": {"mac": mac, **selector}}


# --- POST ------------------------------------------------------------------------------------


def test_roles_are_given_and_the_document_comes_back(client, post):
    make_machine(1)
    document = ask(mac_of(1), ETCD, PLANE) | {"comment": "kept"}
    answer = post(document)
    assert (answer.status_code, answer.json()) == (200, document)
    assert answer.headers["Content-Type"] == "application/json"
    assert client.get("/scheduler").json() == {mac_of(1): [ETCD, PLANE]}
    assert Event.objects.get(kind="role_assigned").actor == "ada"


@pytest.mark.parametrize("mac", ["52-54-00-00-00-01", "525400000001", "5254.0000.0001"])
def test_any_spelling_of_a_mac_is_understood(post, mac):
    make_machine(1)
    assert post(ask(mac.upper(), NODE)).status_code == 200
    assert Assignment.objects.get().boot_mac == mac_of(1)


def test_the_mac_of_any_interface_names_the_machine(client, post):
    machine = make_machine(1)
    InterfaceFactory.create(machine=machine, mac=mac_of(77))
    assert post(ask(mac_of(77), NODE)).status_code == 200
    assert client.get("/scheduler").json() == {mac_of(1): [NODE]}


def test_no_roles_are_fine_and_store_nothing(post):
    make_machine(1)
    assert post(ask(mac_of(1))).status_code == 200
    assert not Assignment.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "null",
        "[]",
        '"text"',
        "{}",
        '{"roles": []}',
        '{"selector": {"mac": "52:54:00:00:00:01"}}',
        '{"roles": "kubernetes-node", "selector": {"mac": "52:54:00:00:00:01"}}',
        '{"roles": [1], "selector": {"mac": "52:54:00:00:00:01"}}',
        '{"roles": [["kubernetes-node"]], "selector": {"mac": "52:54:00:00:00:01"}}',
        '{"roles": [], "selector": "52:54:00:00:00:01"}',
        '{"roles": [], "selector": {}}',
        '{"roles": [], "selector": {"mac": null}}',
        '{"roles": [], "selector": {"mac": 5}}',
        '{"roles": [], "selector": {"mac": "nope"}}',
        '{"roles": [], "selector": {"mac": "52:54:00:00:00:01\\u0000"}}',
        '{"roles": [], "selector": {"mac": "52:54:00:00:00:01", "uuid": "x"}}',
        '{"roles": ["\\ud800"], "selector": {"mac": "52:54:00:00:00:01"}}',
        '{"roles": [NaN], "selector": {"mac": "52:54:00:00:00:01"}}',
        "[" * 100_000,
        "9" * 5000,
        b"\xff\xfe",
    ],
)
def test_a_malformed_document_gets_the_usage(post, body):
    make_machine(1)
    answer = post(body)
    assert answer.status_code == 406
    document = answer.json()
    assert {key: document[key] for key in USAGE} == USAGE
    assert document["kind"]
    assert document["value"]
    assert not Assignment.objects.exists()


def test_an_unknown_role_stores_nothing(post):
    make_machine(1)
    answer = post(ask(mac_of(1), NODE, "kubernetes-master"))
    assert answer.status_code == 406
    assert answer.json()["kind"] == "unknown_role"
    assert not Assignment.objects.exists()


def test_an_unknown_machine_is_not_found(post):
    answer = post(ask(mac_of(99), NODE))
    assert (answer.status_code, answer.json()["kind"]) == (404, "unknown_machine")


def test_an_impossible_combination_stores_nothing(post):
    make_machine(1)
    answer = post(ask(mac_of(1), NODE, PLANE))
    assert (answer.status_code, answer.json()["kind"]) == (409, "impossible_roles")
    assert not Assignment.objects.exists()


def test_a_selector_with_the_uuid_of_another_machine_is_a_conflict(post):
    make_machine(1)
    assert post(ask(mac_of(1), NODE, uuid=uuid_of(1))).status_code == 200
    answer = post(ask(mac_of(1), NODE, uuid=uuid_of(2)))
    assert (answer.status_code, answer.json()["kind"]) == (409, "identity_conflict")


def test_only_operators_give_roles(client, cluster):
    make_machine(1)
    body = json.dumps(ask(mac_of(1), NODE))
    User.objects.create_user("eve", password="secret")
    for headers, status in (
        ({}, 401),
        (basic("ada", "wrong"), 401),
        (basic("eve", "secret"), 403),
    ):
        answer = client.post("/scheduler", body, content_type="text/plain", **headers)
        assert answer.status_code == status
        answer = client.post("/scheduler", "{", content_type="text/plain", **headers)
        assert answer.status_code == status, "the body must not be looked at"
    assert not Assignment.objects.exists()


@given(body=st.binary(max_size=200))
@hypothesis_settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=60,
)
def test_no_bytes_give_a_500(post, body):
    assert post(body).status_code in (200, 404, 406)


def test_a_trailing_slash_and_head_work_and_other_methods_do_not(client, cluster):
    assert client.get("/scheduler/").status_code == 200
    assert client.head("/scheduler").status_code == 200
    answer = client.delete("/scheduler")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, POST, HEAD")


# --- reads -----------------------------------------------------------------------------------


@pytest.fixture
def fleet(cluster):
    """Three members of the control plane, two nodes, one machine without a role."""
    for number in (9, 10, 11, 300, 301, 500):
        make_machine(number, fqdn=f"r1-srv{number}.dc1.x" if number != 301 else None)
    machines = {m.boot_mac: m for m in _machines()}
    for number in (11, 10, 9):
        assign_roles(machine=machines[mac_of(number)], roles=[ETCD, PLANE], actor="ada")
    for number in (300, 301):
        assign_roles(machine=machines[mac_of(number)], roles=[NODE], actor="ada")


def _machines():
    from machines.models import Machine

    return Machine.objects.all()


def test_nothing_scheduled_is_an_empty_object(client, cluster):
    assert client.get("/scheduler").json() == {}
    assert client.get(f"/scheduler?mac={mac_of(1)}").json() == {}


def test_one_machine_is_asked_for_by_any_of_its_macs(client, fleet):
    assert client.get(f"/scheduler?mac={mac_of(300).upper()}").json() == {mac_of(300): [NODE]}
    assert client.get(f"/scheduler?mac={mac_of(500)}").json() == {}
    answer = client.get("/scheduler?mac=nope")
    assert (answer.status_code, set(answer.json()["fields"])) == (400, {"mac"})
    assert client.get("/scheduler?mac=").status_code == 400


def test_the_holders_of_a_role_are_shown_with_their_pinned_facts(client, fleet):
    assignment = Assignment.objects.get(boot_mac=mac_of(300))
    assignment.machine.interfaces.update(ipv4=address_of(4000))
    row = client.get(f"/scheduler/{NODE}").json()[0]
    disks = [{"path": d.path, "size-bytes": d.size_bytes} for d in assignment.machine.disks.all()]
    assert row == {
        "mac": mac_of(300),
        "ipv4": address_of(300),
        "cidrv4": f"{address_of(300)}/14",
        "gateway": "10.64.0.1",
        "as_boot": True,
        "name": "eth0",
        "netmask": 14,
        "roles": NODE,
        "created_date": "2026-01-01T00:00:00.000Z",
        "fqdn": "r1-srv300.dc1.x",
        "disks": disks,
    }
    assert client.get(f"/scheduler/{NODE}").json()[1]["fqdn"] is None


def test_a_set_of_roles_is_matched_exactly_in_any_order(client, fleet):
    for asked in (f"{ETCD}&{PLANE}", f"{PLANE}&{ETCD}"):
        rows = client.get(f"/scheduler/{asked}").json()
        assert [row["mac"] for row in rows] == [mac_of(9), mac_of(10), mac_of(11)]
        assert rows[0]["roles"] == asked.split("&")
    AssignedRole.objects.filter(assignment__boot_mac=mac_of(9), role=PLANE).delete()
    assert len(client.get(f"/scheduler/{ETCD}&{PLANE}").json()) == 2
    assert len(client.get(f"/scheduler/{ETCD}").json()) == 3


@pytest.mark.parametrize("role", ["nope", "ip-list", f"{ETCD}&{ETCD}", f"{ETCD}&nope", "&", "%00x"])
def test_nobody_holds_an_unknown_role(client, fleet, role):
    answer = client.get(f"/scheduler/{role}")
    assert answer.status_code == 400 if "%00" in role else answer.json() == []
    assert role.startswith("%") or client.get(f"/scheduler/ip-list/{role}").json() == []


def test_available_machines_are_those_without_a_role(client, fleet):
    (row,) = client.get("/scheduler/available").json()
    disk = _machines().get(boot_mac=mac_of(500)).disks.get()
    assert row == {
        "mac": mac_of(500),
        "ipv4": address_of(500),
        "cidrv4": f"{address_of(500)}/14",
        "as_boot": True,
        "name": "eth0",
        "fqdn": "r1-srv500.dc1.x",
        "netmask": 14,
        "created_date": "2026-01-01T00:00:00.000Z",
        "disks": [{"path": disk.path, "size-bytes": disk.size_bytes}],
        "waiting": None,
    }


def test_an_available_machine_says_why_it_waits(client, cluster):
    make_machine(1)
    run_scheduler(cluster=cluster, now=LATER)
    (row,) = client.get("/scheduler/available").json()
    assert row["waiting"].startswith("control plane needs 3 machines")


def test_addresses_are_the_pinned_ones_in_numeric_order_as_the_sync_sees_them(client, fleet):
    Assignment.objects.get(boot_mac=mac_of(10)).machine.interfaces.update(ipv4=address_of(4000))
    expected = [address_of(9), address_of(10), address_of(11)]
    for role in (ETCD, PLANE):
        assert client.get(f"/scheduler/ip-list/{role}").json() == expected
    members = control_plane_members(default_cluster())
    assert [member.ipv4 for member in members] == expected
    assert [member.name for member in members] == [f"r1-srv{n}.dc1.x" for n in (9, 10, 11)]
    assert client.get(f"/scheduler/ip-list/{ETCD}&{PLANE}").json() == []


def test_reads_cost_the_same_for_any_fleet(client, cluster, django_assert_max_num_queries):
    make_fleet(2000)
    run_scheduler(cluster=cluster, now=LATER)
    make_machine(5000)
    for path in (
        "/scheduler",
        f"/scheduler?mac={mac_of(1500)}",
        "/scheduler/available",
        *(f"/scheduler/{role}" for role in RoleName.values),
        f"/scheduler/{ETCD}&{PLANE}",
        *(f"/scheduler/ip-list/{role}" for role in RoleName.values),
    ):
        with django_assert_max_num_queries(3):
            assert client.get(path).json()
