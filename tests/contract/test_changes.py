"""`/lifecycle/ignition`, `/lifecycle/rolling` and FleetLock's `/v1`: how a machine changes."""

import hashlib
import json
from typing import Any

import pytest
import rfc8785

from lifecycle.models import IgnitionReport, MachineStrategy
from lifecycle.tests.factories import desire
from machines.models import Machine
from tests.contract.site import (
    NODE_MACHINE,
    PLANE_MACHINE,
    UNKNOWN,
    WAITING,
    mac_of,
    query,
    uuid_of,
)
from tests.contract.table import Row, check, walk

pytestmark = pytest.mark.django_db

MINE: dict[str, Any] = {
    "ignition": {"version": "3.4.0"},
    "storage": {"files": [{"path": "/etc/a"}]},
}
SERVED = json.dumps(MINE, separators=(",", ":")).encode()
TURNED = json.dumps({key: MINE[key] for key in reversed(MINE)}, indent=3).encode()
TWINS = query(NODE_MACHINE, uuid_of_machine=PLANE_MACHINE)
UP_TO_DATE, OUTDATED = {"message": "Up-to-date"}, {"message": "Outdated"}
UNKNOWN_DIGEST = OUTDATED | {"send": "full"}


def sha512(data):
    return {"sha512": hashlib.sha512(data).hexdigest()}


@pytest.fixture
def node(site):
    """The node, with the document above as its desired config."""
    machine = Machine.objects.get(boot_mac=mac_of(NODE_MACHINE))
    desire(machine, SERVED)
    return machine


# --- reports ---------------------------------------------------------------------------------
REPORT = f"POST /lifecycle/ignition/{query(NODE_MACHINE)}"


def says_it_runs(body, answer, says):
    return Row(says, REPORT, 200 if answer == UP_TO_DATE else 210, body=body, answer=answer)


REPORTS = [
    says_it_runs(SERVED, UP_TO_DATE, "the bytes as served"),
    says_it_runs(TURNED, UP_TO_DATE, "the same value in another order and spacing"),
    says_it_runs(sha512(SERVED), UP_TO_DATE, "their digest"),
    says_it_runs(sha512(rfc8785.dumps(MINE)), UP_TO_DATE, "the digest of the canonical form"),
    says_it_runs(MINE | {"more": 1}, OUTDATED, "another document"),
    says_it_runs(b"null", OUTDATED, "null"),
    says_it_runs([], OUTDATED, "a list"),
    says_it_runs({}, OUTDATED, "an empty object"),
    says_it_runs(sha512(b"x"), UNKNOWN_DIGEST, "a digest that tells us nothing"),
    Row("not JSON", REPORT, 406, body="junk", has={"kind": "unreadable_report"}),
    Row("no body", REPORT, 406, text='"message"'),
    Row("a digest that is none", REPORT, 406, body={"sha512": "x"}),
    Row(
        "an unknown machine",
        f"POST /lifecycle/ignition/{query(UNKNOWN)}",
        406,
        body=SERVED,
        has={"message": "Unknown", "kind": "unknown_machine"},
    ),
    Row(
        "no MAC to know one by",
        "POST /lifecycle/ignition/os=installed",
        406,
        body=SERVED,
        has={"message": "Unknown"},
    ),
    Row("two machines in one query", f"POST /lifecycle/ignition/{TWINS}", 409, body=SERVED),
    Row("no role yet", f"POST /lifecycle/ignition/{query(WAITING)}", 210, body=SERVED),
    Row(
        "a report is a POST", f"GET /lifecycle/ignition/{query(1)}", 405, headers={"Allow": "POST"}
    ),
    Row("nobody reported", "GET /lifecycle/ignition", 200, answer=[]),
]


def test_reports(client, subtests, node):
    walk(client, subtests, REPORTS)


def test_the_list_has_one_row_per_reporting_machine(client, node):
    for row in (REPORTS[4], REPORTS[0], REPORTS[0]):
        check(client, row)
    (listed,) = client.get("/lifecycle/ignition").json()
    assert (listed["mac"], listed["up-to-date"]) == (mac_of(NODE_MACHINE), True)
    assert listed["last_change_date"]
    keys = {"mac", "fqdn", "cidrv4", "up-to-date", "last_change_date"}
    assert set(listed) == keys | {"created_date", "updated_date"}


@pytest.mark.parametrize("bad", ["os=installed", "mac=fake", TWINS, query(UNKNOWN)])
def test_a_refused_report_leaves_no_row(client, node, bad):
    check(client, Row("", f"POST /lifecycle/ignition/{bad}", 409 if bad == TWINS else 406, "{}"))
    assert not IgnitionReport.objects.exists()


# --- strategies ------------------------------------------------------------------------------
ROLLING = f"/lifecycle/rolling/{query(NODE_MACHINE)}"
ECHO = {"request_raw_query": query(NODE_MACHINE)}
LOCK = {"url": "http://127.0.0.1:5000", "group": "default", "id": uuid_of(NODE_MACHINE)}


def sets(says, body, status=200, **expected):
    return Row(says, f"POST {ROLLING}", status, body=body, by="operator", **expected)


def may(strategy):
    answer = {"enable": True, "strategy": strategy, "lock": LOCK, **ECHO}
    return Row(f"the machine may {strategy}", f"GET {ROLLING}", 200, answer=answer)


STRATEGIES = [
    Row("never set", f"GET {ROLLING}", 401, has={"enable": False, "strategy": None, **ECHO}),
    Row("unknown machine", f"GET /lifecycle/rolling/{query(UNKNOWN)}", 401, has={"enable": False}),
    Row(
        "no MAC, in the old words",
        "GET /lifecycle/rolling/os=installed",
        403,
        has={"enable": None, "request_raw_query": "os=installed:os=installed is not parsable"},
    ),
    Row("two machines in one query", f"GET /lifecycle/rolling/{TWINS}", 409),
    Row("nobody has one", "GET /lifecycle/rolling", 200, answer=[]),
    Row("a machine may not set it", f"POST {ROLLING}", 401, body="{"),
    Row("nor a wrong password", f"POST {ROLLING}", 401, by="stranger"),
    Row("nor a user without the permission", f"DELETE {ROLLING}", 403, by="reader"),
    sets("no body is kexec", b"", answer={"enable": True, "strategy": "kexec", **ECHO}),
    may("kexec"),
    sets("reboot", {"strategy": "reboot"}, has={"strategy": "reboot"}),
    may("reboot"),
    *(
        sets(f"{body!r} is refused", body, 406)
        for body in (b"junk", b"[]", b"null", {"strategy": "nope"}, {"strategy": None}, b"[" * 9999)
    ),
    may("reboot"),
    sets("poweroff", {"strategy": "poweroff"}, has={"strategy": "poweroff"}),
    may("poweroff"),
    Row(
        "an unknown machine",
        f"POST /lifecycle/rolling/{query(UNKNOWN)}",
        404,
        by="operator",
        has={"enable": None, "request_raw_query": query(UNKNOWN)},
    ),
    Row("no MAC", "POST /lifecycle/rolling/os=x", 400, by="operator"),
    Row("two machines", f"POST /lifecycle/rolling/{TWINS}", 409, by="operator"),
    Row("disabled", f"DELETE {ROLLING}", 200, by="operator", answer={"enable": False, **ECHO}),
    Row("and once more", f"DELETE {ROLLING}", 200, by="operator", answer={"enable": False, **ECHO}),
    Row("now it may not", f"GET {ROLLING}", 403, has={"enable": False, **ECHO}),
    Row("and is told why", f"GET {ROLLING}", 403, text='"reason": "'),
    Row("it stays listed", "GET /lifecycle/rolling", 200, text='"enable": false'),
    Row("HEAD", f"HEAD {ROLLING}", 403),
    Row("PUT", f"PUT {ROLLING}", 405, headers={"Allow": "GET, POST, DELETE, HEAD"}),
]


def test_strategies(client, subtests, node):
    walk(client, subtests, STRATEGIES, is_story=True)
    (row,) = client.get("/lifecycle/rolling").json()
    keys = {"mac", "fqdn", "cidrv4", "enable", "strategy", "created_date", "updated_date"}
    assert set(row) == keys
    assert MachineStrategy.objects.count() == 1


# --- slots -----------------------------------------------------------------------------------
PROTOCOL = {"fleet-lock-protocol": "true"}


def lock(says, holder, status=200, group="default", path="/v1/pre-reboot", **expected):
    body = {"client_params": {"id": holder, "group": group}}
    return Row(says, f"POST {path}", status, body=body, sends=PROTOCOL, **expected)


def unlock(says, holder, status=200, group="default"):
    return lock(says, holder, status, group, "/v1/steady-state")


BAD_LOCKS = [
    {"client_params": {"id": "", "group": "default"}},
    {"client_params": {"id": 7, "group": "default"}},
    {"client_params": {"id": "NUL \0", "group": "default"}},
    {"client_params": {"id": "a" * 300, "group": "default"}},
    {"client_params": {"id": "a", "group": "two words"}},
    {"client_params": {"id": "a", "group": ""}},
    {"client_params": {"id": "a"}},
    {"client_params": []},
    {},
    [],
    b"",
    b"junk",
]
LOCKS = [
    lock("a free slot is taken", "a"),
    lock("the holder takes it again", "a"),
    lock("nobody else does", "b", 409, has={"kind": "failed_lock_semaphore_full"}),
    unlock("who holds none frees none", "b"),
    lock("as it shows", "b", 409),
    lock("an id is case-sensitive", "A", 409),
    unlock("the holder frees it", "a"),
    unlock("and once more", "a"),
    lock("the next one takes it", "b"),
    lock("any id will do", "Ünïcode / \n id", 409),
    lock("an unknown group", "a", 400, group="nope", has={"kind": "unknown_group"}),
    unlock("an unknown group", "a", 400, group="nope"),
    *(
        Row(f"{body!r} is refused", f"POST /v1/{name}", 400, body=body, sends=PROTOCOL)
        for body in BAD_LOCKS
        for name in ("pre-reboot", "steady-state")
    ),
    *(
        Row(
            f"without the header: {sent}",
            f"POST /v1/{name}",
            400,
            body={"client_params": {"id": "c", "group": "default"}},
            sends=sent,
        )
        for sent in ({}, {"fleet-lock-protocol": "false"}, {"fleet-lock-protocol": "TRUE"})
        for name in ("pre-reboot", "steady-state")
    ),
    Row("POST only", "GET /v1/pre-reboot", 405, sends=PROTOCOL, headers={"Allow": "POST"}),
    unlock("it is still held by whom it was", "b"),
    lock("and free now", "c"),
]


def test_slots(client, subtests, site):
    walk(client, subtests, LOCKS, is_story=True)


def test_a_machine_is_told_the_lock_that_it_can_take(client, node):
    check(client, sets("set", {"strategy": "reboot"}))
    told = client.get(ROLLING).json()["lock"]
    check(client, lock("taken", told["id"], group=told["group"]))
