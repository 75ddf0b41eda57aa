"""The discovery routes over HTTP: answers, bad bytes, query counts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from machines.models import Machine
from machines.tests.factories import (
    DiskFactory,
    InterfaceFactory,
    MachineFactory,
    document,
    mac_of,
    uuid_of,
)

pytestmark = pytest.mark.django_db
USAGE: dict[str, Any] = {"boot-info": {}, "interfaces": [], "disks": [], "lldp": {}}


def post(client, body, content_type="application/x-www-form-urlencoded"):
    if not isinstance(body, (bytes, str)):
        body = json.dumps(body)
    return client.post("/discovery", body, content_type=content_type)


@pytest.mark.parametrize(
    "content_type",
    ["application/x-www-form-urlencoded", "application/json", "text/plain", "multipart/form-data"],
)
def test_a_report_is_new_once_whatever_its_content_type(client, content_type):
    first = post(client, document(), content_type)
    assert (first.status_code, first.json()) == (200, {"new-discovery": True})
    assert post(client, document(), content_type).json() == {"new-discovery": False}
    assert post(client, document(2), content_type).json() == {"new-discovery": True}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"ok",
        b"{",
        b"[]",
        b"null",
        b"7",
        b'"x"',
        b"{}",
        b"\xff\xfe",
        b"NaN",
        b"[" * 100_000,
        b'{"a": ' * 50_000,
        b'{"lldp": {}}',
        b"9" * 5000,
        b'{"boot-info": "\\ud800"}',
    ],
)
def test_what_cannot_be_read_is_406_with_the_usage_keys(client, body):
    answer = post(client, body)
    assert answer.status_code == 406
    assert answer.json().items() >= USAGE.items()
    assert {"kind", "value"} <= answer.json().keys()
    assert not Machine.objects.exists()


def test_a_readable_but_invalid_document_names_the_fields(client):
    whole = document()
    whole["interfaces"][1]["mac"] = "52:54"
    answer = post(client, whole)
    assert answer.status_code == 406
    assert answer.json()["kind"] == "invalid_report"
    assert "interfaces[1].mac" in answer.json()["fields"]
    assert answer.json().items() >= USAGE.items()
    assert not Machine.objects.exists()


def test_a_body_beyond_reason_is_refused_unread(client):
    answer = client.post(
        "/discovery", b"{}", content_type="application/json", headers={"Content-Length": "99999999"}
    )
    assert answer.status_code == 413


def test_unknown_keys_with_hostile_content_are_stored(client):
    whole = document() | {"new": {"k\0": "\0", "huge": 10**4000, "deep": [[[1]]]}}
    assert post(client, whole).status_code == 200
    assert post(client, json.dumps(whole).replace("[[[1]]]", "1e999")).status_code == 200


def test_the_list_has_the_keys_of_the_reference(client):
    post(client, document(1))
    post(client, document(2))
    first, second = client.get("/discovery").json()
    assert first["boot-info"].keys() == {"uuid", "mac", "created-date", "updated-date"}
    assert (first["boot-info"]["uuid"], first["boot-info"]["mac"]) == (uuid_of(1), mac_of(1))
    assert first["boot-info"]["created-date"].endswith("Z")
    assert first["disks"] == [{"path": "/dev/sda", "size-bytes": 21474836480}]
    assert first["interfaces"] == [
        {
            "as_boot": True,
            "cidrv4": "10.64.0.1/14",
            "fqdn": "r1-srv1.dc1.example.test",
            "gateway": "10.64.0.1",
            "ipv4": "10.64.0.1",
            "mac": mac_of(1),
            "name": "eth0",
            "netmask": 14,
        }
    ]
    assert second["boot-info"]["uuid"] == uuid_of(2)


def test_the_order_is_that_of_the_first_report_and_stays(client):
    for number in (5, 3, 9):
        post(client, document(number))
    for number in (9, 5):
        post(client, document(number, disks=None))
    for _ in range(5):
        macs = [row["boot-info"]["mac"] for row in client.get("/discovery").json()]
        assert macs == [mac_of(5), mac_of(3), mac_of(9)]


def test_all_samples_come_back_each_once(client):
    for _ in range(2):
        for number in range(23):
            changes: dict[str, Any] = {"disks": None} if number % 3 else {}
            if number % 4 == 0:
                changes["lldp"] = {"is_file": False, "data": {"interfaces": None}}
            assert post(client, document(number, **changes)).status_code == 200
    assert len(client.get("/discovery").json()) == 23


def test_interfaces_are_one_flat_list(client):
    whole = document()
    eth1 = whole["interfaces"][1] | {"name": "eth1", "mac": mac_of(70), "ipv4": "", "cidrv4": ""}
    whole["interfaces"].append(eth1 | {"netmask": None, "gateway": None, "fqdn": None})
    post(client, whole)
    eth0, eth1 = client.get("/discovery/interfaces").json()
    assert (eth0["uuid"], eth0["as_boot"], eth0["cidrv4"]) == (uuid_of(1), True, "10.64.0.1/14")
    assert eth1 == {
        "mac": mac_of(70),
        "name": "eth1",
        "ipv4": None,
        "cidrv4": None,
        "netmask": None,
        "gateway": None,
        "fqdn": None,
        "as_boot": False,
        "uuid": uuid_of(1),
    }


def test_lists_cost_the_same_queries_for_any_fleet(client, django_assert_num_queries):
    for machine in MachineFactory.create_batch(30):
        InterfaceFactory.create(machine=machine)
        DiskFactory.create(machine=machine)
    with django_assert_num_queries(3):
        assert len(client.get("/discovery").json()) == 30
    with django_assert_num_queries(1):
        assert len(client.get("/discovery/interfaces").json()) == 60
    with django_assert_num_queries(1):
        assert client.get("/discovery/ignition-journal").json() == []


def test_journals_by_fleet_by_machine_and_by_boot(client):
    post(client, document(1))
    post(client, document(2))
    boots = client.get("/discovery/ignition-journal").json()
    assert [(boot["uuid"], boot["lines"]) for boot in boots] == [(uuid_of(1), 2), (uuid_of(2), 2)]
    (boot,) = client.get(f"/discovery/ignition-journal/{uuid_of(1).upper()}").json()
    assert boot.keys() == {"uuid", "boot_id", "created_date", "lines"}
    one = client.get(f"/discovery/ignition-journal/{uuid_of(1)}/{boot['boot_id']}")
    assert one.json() == boot | {"lines": document(1)["ignition-journal"]}


def test_a_journal_is_text_for_who_prefers_text(client):
    post(client, document())
    path = f"/discovery/ignition-journal/{uuid_of(1)}/{uuid_of(-1)}"
    text = client.get(path, headers={"Accept": "text/plain"})
    assert text["Content-Type"] == "text/plain; charset=utf-8"
    assert text.content.decode() == "reading the configuration\nfiles: op(1): [finished]\n"
    assert client.get(path, headers={"Accept": "*/*"})["Content-Type"] == "application/json"
    assert client.get(path, headers={"Accept": "\x00;;q=x"}).status_code == 200
    assert client.head(path).status_code == 200


@pytest.mark.parametrize("suffix", ["", "/"])
@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (f"/{uuid_of(99)}", "unknown_machine"),
        ("/not-a-uuid", "unknown_machine"),
        (f"/{uuid_of(99)}/boot", "unknown_machine"),
        (f"/{uuid_of(1)}/boot", "unknown_boot"),
        (f"/{uuid_of(1)}/{'x' * 5000}", "unknown_boot"),
        (f"/{uuid_of(1)}/a/b", "unknown_boot"),
    ],
)
def test_unknown_journals_are_404(client, path, kind, suffix):
    post(client, document(1))
    answer = client.get(f"/discovery/ignition-journal{path}{suffix}")
    assert (answer.status_code, answer.json()["kind"]) == (404, kind)


def test_with_one_uuid_at_two_machines_the_journals_of_both_are_told(client):
    post(client, document(1))
    other = document(2)
    other["boot-info"]["uuid"] = uuid_of(1)
    post(client, other)
    boots = client.get(f"/discovery/ignition-journal/{uuid_of(1)}").json()
    assert [boot["boot_id"] for boot in boots] == [uuid_of(-1), uuid_of(-2)]


@pytest.mark.parametrize(
    "path", ["/discovery", "/discovery/interfaces", "/discovery/ignition-journal"]
)
def test_slash_head_and_wrong_methods(client, path):
    assert client.get(path + "/").status_code == 200
    assert client.head(path).status_code == 200
    answer = client.delete(path)
    assert answer.status_code == 405
    assert "GET" in answer["Allow"]
    assert answer.json()["kind"] == "method_not_allowed"


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
@example(b'{"boot-info":{},"interfaces":[{}],"disks":[{}],"lldp":{}}')
def test_arbitrary_bytes_are_406(client, body):
    assert post(client, body).status_code == 406


hostile = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(hostile)
def test_anything_under_an_unknown_key_is_200_or_406(client, value):
    assert post(client, document() | {"x": value}).status_code in (200, 406)
