"""`/scheduler` and its reads."""

import json

import pytest

from scheduling.models import AssignedRole
from tests.contract.site import (
    ETCD,
    NODE,
    NODE_MACHINE,
    PLANE,
    PLANE_MACHINE,
    UNKNOWN,
    WAITING,
    dashed,
    mac_of,
    uuid_of,
)
from tests.contract.table import Row, check, walk

pytestmark = pytest.mark.django_db

USAGE = {"roles": [ETCD, PLANE, NODE], "selector": {"mac": ""}}
HELD = {mac_of(PLANE_MACHINE): [ETCD, PLANE], mac_of(NODE_MACHINE): [NODE]}


def asked(number, *roles, **selector):
    return {"roles": list(roles), "selector": {"mac": mac_of(number), **selector}}


def post(says, status, body, by="operator", **expected):
    return Row(says, "POST /scheduler", status, body=body, by=by, **expected)


def malformed(body):
    return post(f"the usage for {body!r}", 406, body, has=USAGE)


POSTS = [
    post("a machine may not", 401, asked(WAITING, NODE), by="machine"),
    post("nor a wrong password", 401, b"{", by="stranger", has={"kind": "not_authenticated"}),
    post("nor a user without the permission", 403, b"{", by="reader", has={"kind": "forbidden"}),
    post("the document comes back", 200, asked(WAITING, NODE), answer=asked(WAITING, NODE)),
    post(
        "with all its keys",
        200,
        asked(WAITING, NODE) | {"more": 1},
        answer=asked(WAITING, NODE) | {"more": 1},
    ),
    post("dashes in the MAC", 200, asked(WAITING, NODE, mac=dashed(WAITING))),
    post("no roles", 200, asked(WAITING)),
    post("roles it has already", 200, asked(NODE_MACHINE, NODE)),
    post("a role twice", 200, asked(WAITING, NODE, NODE)),
    post("an unknown machine", 404, asked(UNKNOWN, NODE), has={"kind": "unknown_machine"}),
    post("an unknown role", 406, asked(WAITING, "master"), has=USAGE | {"kind": "unknown_role"}),
    post("one good and one unknown role", 406, asked(WAITING, NODE, "master"), has=USAGE),
    post("roles that cannot stand together", 409, asked(WAITING, NODE, PLANE)),
    post("also in two steps", 409, asked(NODE_MACHINE, ETCD), has={"kind": "impossible_roles"}),
    post("the UUID of another machine", 409, asked(WAITING, NODE, uuid=uuid_of(1))),
    *map(
        malformed,
        (
            b"",
            b"{",
            b"null",
            b"[]",
            b'"text"',
            b"{}",
            b"\xff",
            {"roles": [NODE]},
            {"selector": {"mac": mac_of(WAITING)}},
            {"roles": NODE, "selector": {"mac": mac_of(WAITING)}},
            {"roles": [7], "selector": {"mac": mac_of(WAITING)}},
            {"roles": [NODE], "selector": {}},
            {"roles": [NODE], "selector": {"mac": "fake"}},
            {"roles": [NODE], "selector": None},
        ),
    ),
]
READS = [
    Row("who has which", "GET /scheduler", 200, answer=HELD),
    Row("a slash", "GET /scheduler/", 200, answer=HELD),
    Row("HEAD", "HEAD /scheduler", 200),
    *(
        Row(
            f"one machine, {spelling}",
            f"GET /scheduler?mac={spelling}",
            200,
            answer={mac_of(NODE_MACHINE): [NODE]},
        )
        for spelling in (mac_of(NODE_MACHINE), dashed(NODE_MACHINE), "525400000002")
    ),
    Row("one that waits", f"GET /scheduler?mac={mac_of(WAITING)}", 200, answer={}),
    Row("an unknown one", f"GET /scheduler?mac={mac_of(UNKNOWN)}", 200, answer={}),
    Row("what is no MAC", "GET /scheduler?mac=fake", 400),
    Row("holders of a role", f"GET /scheduler/{ETCD}", 200, text=f'"roles": "{ETCD}"'),
    Row(
        "exactly a set of roles, as asked",
        f"GET /scheduler/{PLANE}&{ETCD}",
        200,
        text=f'"roles": ["{PLANE}", "{ETCD}"]',
    ),
    Row("encoded", f"GET /scheduler/{ETCD}%26{PLANE}", 200, text=mac_of(PLANE_MACHINE)),
    Row("nobody has exactly these", f"GET /scheduler/{ETCD}&{NODE}", 200, answer=[]),
    Row("a role twice", f"GET /scheduler/{ETCD}&{ETCD}", 200, answer=[]),
    Row("an unknown role", "GET /scheduler/master", 200, answer=[]),
    Row("addresses", f"GET /scheduler/ip-list/{NODE}", 200, answer=["10.64.0.2"]),
    Row("of an unknown role", "GET /scheduler/ip-list/master", 200, answer=[]),
    Row("of two", f"GET /scheduler/ip-list/{ETCD}&{PLANE}", 200, answer=[]),
    Row("without a role it is read as one", "GET /scheduler/ip-list", 200, answer=[]),
    Row("who waits", "GET /scheduler/available", 200, text=mac_of(WAITING)),
    Row("who has a role does not", "GET /scheduler/available", 200, lacks=mac_of(NODE_MACHINE)),
    Row("read only", "POST /scheduler/available", 405, headers={"Allow": "GET, HEAD"}),
    Row("no DELETE", "DELETE /scheduler", 405, headers={"Allow": "GET, POST, HEAD"}),
]


def test_posts(client, subtests, site):
    walk(client, subtests, POSTS)


def test_reads(client, subtests, site):
    walk(client, subtests, READS)


def test_what_is_refused_stores_nothing(client, site):
    before = AssignedRole.objects.count()
    for row in POSTS:
        if row.status != 200:
            check(client, row)
    assert AssignedRole.objects.count() == before
    assert client.get("/scheduler").json() == HELD


def test_roles_stack_in_the_order_given_and_are_there_at_once(client, site):
    for roles, held in (([PLANE], [PLANE]), ([ETCD], [PLANE, ETCD]), ([PLANE], [PLANE, ETCD])):
        check(client, post("one after the other", 200, asked(WAITING, *roles)))
        listed = client.get(f"/scheduler?mac={mac_of(WAITING)}").json()
        assert listed == {mac_of(WAITING): held}


def test_documents_have_the_keys_of_the_reference(client, site):
    facts = {"mac", "ipv4", "cidrv4", "as_boot", "name", "netmask", "created_date", "fqdn", "disks"}
    (holder,) = client.get(f"/scheduler/{NODE}").json()
    assert set(holder) == facts | {"gateway", "roles"}
    (waiting,) = client.get("/scheduler/available").json()
    assert set(waiting) == facts | {"waiting"}
    assert json.dumps(holder["disks"]) == '[{"path": "/dev/sda", "size-bytes": 21474836480}]'
