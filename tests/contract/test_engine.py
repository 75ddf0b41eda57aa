"""The engine's own routes: index, health, overview, operators' routes, documents."""

import json
from typing import Any

import pytest

from tests.contract.site import (
    ETCD,
    NODE,
    NODE_MACHINE,
    PLANE,
    PLANE_MACHINE,
    mac_of,
)
from tests.contract.table import Row, check, send, walk

pytestmark = pytest.mark.django_db

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
OPERATOR_READS = ("/config", "/configs", "/backup/export", "/backup/db")

ROWS = [
    Row(
        "a browser is sent to the console", "GET /", 302, sends=BROWSER, headers={"Location": "/ui"}
    ),
    Row("a script gets the routes", "GET /", 200, text='"/scheduler/<string:role>"'),
    Row("the console", "GET /ui", 302, headers={"Location": "/admin/"}),
    Row("the process lives", "GET /livez", 200, answer={"live": True}),
    Row("and is ready", "GET /readyz", 200, answer={"ready": True}),
    Row(
        "health without matchbox, for anybody's page",
        "GET /healthz",
        503,
        has={"global": False, "flask": True, "db": True},
        text="matchbox",
        headers={"Access-Control-Allow-Origin": r"\*"},
    ),
    Row(
        "metrics",
        "GET /metrics",
        200,
        text="\nenjoliver_",
        headers={"Content-Type": "text/plain.*"},
    ),
    Row("the API for people", "GET /apidocs/", 200, lacks="https://", text="swagger"),
    Row("under its other name", "GET /apidocs/index.html", 200, text="swagger"),
    Row("the API for programs", "GET /apispec_1.json", 200, text='"/scheduler/{role}"'),
    Row("the overview", "GET /ui/view/machine", 200, text=f'"MAC": "{mac_of(NODE_MACHINE)}"'),
    Row("what happened lately", "GET /ui/view/states", 200, text='"state": "discovery"'),
    Row(
        "an empty value is the default", "GET /ui/view/states?data_since_last_min=", 200, text="mac"
    ),
    Row("no minutes", "GET /ui/view/states?data_since_last_min=0", 200, answer=[]),
    Row("fewer than none", "GET /ui/view/states?data_since_last_min=-5", 200, answer=[]),
    *(
        Row(f"{text} is no number", f"GET /ui/view/states?data_since_last_min={text}", 400)
        for text in ("abc", "1.5", "1e3")
    ),
    *(Row("no credential", f"GET {path}", 401) for path in OPERATOR_READS),
    *(Row("a wrong one", f"GET {path}", 401, by="stranger") for path in OPERATOR_READS),
    *(Row("no permission", f"GET {path}", 403, by="reader") for path in OPERATOR_READS),
    Row("settings", "GET /config", 200, by="operator", text='"source": "default"'),
    Row("no secret among them", "GET /configs", 200, by="operator", lacks="right"),
    Row("no dumps yet", "GET /backup/db", 501, by="operator", has={"kind": "not_implemented"}),
    Row("a link never writes", "HEAD /backup/db", 501, by="operator"),
    Row("no dumps yet", "POST /backup/db", 501, by="operator"),
    Row("stopping is a POST", "GET /shutdown", 405, headers={"Allow": "POST"}),
    Row("and for operators", "POST /shutdown", 401),
    Row("with the permission", "POST /shutdown", 403, by="reader"),
    Row("an unknown path", "GET /nope", 404, has={"kind": "not_found"}),
    Row("of the 2018 front end's kind", "GET /ui/nope", 404),
]


def test_the_engines_own_routes(client, subtests, site):
    walk(client, subtests, ROWS)


def test_an_engine_that_was_started_elsewhere_is_not_stopped(client, site, settings, tmp_path):
    settings.STATE_DIR = tmp_path
    check(client, Row("", "POST /shutdown", 409, by="operator", has={"kind": "not_under_run"}))


def test_the_overview_has_the_keys_of_the_reference(client, site):
    rows = client.get("/ui/view/machine").json()
    assert [row["Roles"] for row in rows] == [f"{ETCD},{PLANE}", NODE, ""]
    assert rows[1] == {
        "MAC": mac_of(NODE_MACHINE),
        "CIDR": "10.64.0.2/14",
        "FQDN": "r2-srv2.dc1.example.test",
        "Roles": NODE,
        "DiskProfile": "L",
        "LastState": "discovery",
        "LastReport": None,
        "LastChange": None,
        "UpToDate": None,
        "UpdateStrategy": "Disable",
    }
    states = client.get("/ui/view/states").json()
    assert [row["mac"] for row in states] == [mac_of(3), mac_of(2), mac_of(1)]
    assert all(set(row) == {"mac", "fqdn", "state", "date"} for row in states)


def test_the_backup_is_discovery_then_schedule_and_complete(client, site):
    answer = send(client, Row("", "GET /backup/export", 200, by="operator"))
    entries = json.loads(b"".join(answer.streaming_content))
    routes = ["/discovery", "/scheduler"] * 2 + ["/discovery"]
    assert [entry["route"] for entry in entries] == routes
    assert entries[0]["data"]["interfaces"][1]["cidrv4"] == "10.64.0.1/14"
    assert entries[1]["data"]["roles"] == [ETCD, PLANE]
    assert entries[1]["data"]["selector"]["mac"] == mac_of(PLANE_MACHINE)


# --- the gate of the sync, and recorded templates ----------------------------------------------
TEMPLATE = "/ignition/version/some"
BAD_TEMPLATES: tuple[Any, ...] = (
    *(b"", b"junk", [], {}),
    *({"other": "x"}, {"some": 7}, {"some": "NUL \0"}),
)
SYNC = [
    Row("shut before the first sync", "GET /sync-notify", 503, has={"sync-notify": False}),
    Row("a machine may not open it", "POST /sync-notify", 401),
    Row("nor a user without the permission", "POST /sync-notify", 403, by="reader"),
    Row("an operator may", "POST /sync-notify", 200, by="operator", has={"ttl": 60}),
    Row("whatever the body", "POST /sync-notify", 200, body="junk", by="operator", text='"ts": '),
    Row("open", "GET /sync-notify", 200, text='{"sync-notify": 1'),
    Row("DELETE", "DELETE /sync-notify", 405, by="operator", headers={"Allow": "GET, POST, HEAD"}),
    Row("no template", "GET /ignition/version", 200, answer={}),
    Row("not by that name", f"GET {TEMPLATE}", 404),
    Row("a machine records none", f"POST {TEMPLATE}", 401, body={"some": "text"}),
    Row(
        "an operator does",
        f"POST {TEMPLATE}",
        200,
        body={"some": "one", "other": "passed over"},
        by="operator",
        answer={"new": True, "total": 1},
    ),
    Row(
        "and replaces it",
        f"POST {TEMPLATE}",
        200,
        body={"some": "two"},
        by="operator",
        answer={"new": False, "total": 1},
    ),
    *(
        Row(f"{body!r} is refused", f"POST {TEMPLATE}", 406, body=body, by="operator")
        for body in BAD_TEMPLATES
    ),
    Row("all of them", "GET /ignition/version", 200, answer={"some": "two"}),
    Row("one of them", f"GET {TEMPLATE}/", 200, answer={"some": "two"}),
]


def test_the_sync_gate_and_recorded_templates(client, subtests, site, settings):
    settings.SYNC_NOTIFY_TTL_SECONDS = 60  # as it is unless somebody sets it
    walk(client, subtests, SYNC, is_story=True)
