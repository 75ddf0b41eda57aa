"""Each route while the database is away, and which routes ever need matchbox.

Every route of the engine stands in exactly one of the tables below: a new one must say what it
does without a database.
"""

import sqlite3
from contextlib import closing, contextmanager
from typing import Any

import psycopg
import pytest
from django.db import OperationalError, connection

from enjoliver.engine.routes import all_routes
from enjoliver.engine.tests.fake_matchbox import fake_matchbox
from lifecycle.models import InstallGate, Slot
from machines.models import Machine
from scheduling.models import Cluster
from tests.contract.site import NODE, UNKNOWN, WAITING, mac_of, query, report_of, uuid_of
from tests.contract.table import Row, check, walk

pytestmark = pytest.mark.django_db

QUERY = query(WAITING)
LOCK: dict[str, Any] = {
    "body": {"client_params": {"id": "a", "group": "default"}},
    "sends": {"fleet-lock-protocol": "true"},
}
ROLES = {"roles": [NODE], "selector": {"mac": mac_of(WAITING)}}
AWAY = {"kind": "database_unavailable"}


def unaffected(ask, status=200, **expected):
    return Row(f"{ask} needs no database", ask, status, **expected)


def away(ask, **sent):
    expected = {"has": AWAY, "headers": {"Retry-After": "[1-9].*"}} | sent
    return Row(f"{ask} is 503 without one", ask, 503, **expected)


WITHOUT_DATABASE = {
    "/": unaffected("GET /"),
    "/livez": unaffected("GET /livez"),
    "/boot.ipxe": unaffected("GET /boot.ipxe", text="chain http"),
    "/boot.ipxe.0": unaffected("GET /boot.ipxe.0", text="chain http"),
    "/assets": unaffected("GET /assets"),
    "/assets/<string:path>": unaffected("GET /assets/nope", 404),
    "/ui": unaffected("GET /ui", 302),
    "/apidocs": unaffected("GET /apidocs"),
    "/apidocs/index.html": unaffected("GET /apidocs/index.html"),
    "/apispec_1.json": unaffected("GET /apispec_1.json"),
    "/metrics": unaffected("GET /metrics", text="enjoliver_"),
    "/healthz": Row(
        "health says what is away", "GET /healthz", 503, has={"db": False}, text="global"
    ),
    "/readyz": Row("not ready", "GET /readyz", 503),
    "/sync-notify": away("GET /sync-notify", has={"sync-notify": False, **AWAY}),
    "/ipxe": away(f"GET /ipxe?{QUERY}"),
    "/ignition": away(f"GET /ignition?{QUERY}"),
    "/ignition-pxe": Row(
        "discovery goes on with what matchbox says",
        f"GET /ignition-pxe?{QUERY}",
        200,
        text='"version"',
    ),
    "/metadata": away(f"GET /metadata?{QUERY}"),
    "/discovery": away("POST /discovery", body=report_of(UNKNOWN)),
    "/discovery/interfaces": away("GET /discovery/interfaces"),
    "/discovery/ignition-journal": away("GET /discovery/ignition-journal"),
    "/discovery/ignition-journal/<string:uuid>": away(
        f"GET /discovery/ignition-journal/{uuid_of(WAITING)}"
    ),
    "/discovery/ignition-journal/<string:uuid>/<string:boot_id>": away(
        f"GET /discovery/ignition-journal/{uuid_of(WAITING)}/x"
    ),
    "/scheduler": away("POST /scheduler", body=ROLES, by="operator"),
    "/scheduler/<string:role>": away(f"GET /scheduler/{NODE}"),
    "/scheduler/available": away("GET /scheduler/available"),
    "/scheduler/ip-list/<string:role>": away(f"GET /scheduler/ip-list/{NODE}"),
    "/install-authorization/<string:raw_query>": away(f"GET /install-authorization/{QUERY}"),
    "/lifecycle/coreos-install": away("GET /lifecycle/coreos-install"),
    "/lifecycle/coreos-install/<string:status>/<string:raw_query>": away(
        f"POST /lifecycle/coreos-install/success/{QUERY}"
    ),
    "/lifecycle/ignition": away("GET /lifecycle/ignition"),
    "/lifecycle/ignition/<string:raw_query>": away(f"POST /lifecycle/ignition/{QUERY}", body={}),
    "/lifecycle/rolling": away("GET /lifecycle/rolling"),
    "/lifecycle/rolling/<string:raw_query>": away(f"GET /lifecycle/rolling/{QUERY}"),
    "/ignition/version": away("GET /ignition/version"),
    "/ignition/version/<string:name>": away("GET /ignition/version/x"),
    "/backup/export": away("GET /backup/export", by="operator"),
    "/backup/db": away("GET /backup/db", by="operator"),
    "/config": away("GET /config", by="operator"),
    "/configs": away("GET /configs", by="operator"),
    "/shutdown": away("POST /shutdown", by="operator"),
    "/ui/view/machine": away("GET /ui/view/machine"),
    "/ui/view/states": away("GET /ui/view/states"),
    "/api/v1/locations": away("GET /api/v1/locations"),
    "/api/v1/placement": away("GET /api/v1/placement"),
    "/api/v1/placement/loss": away("GET /api/v1/placement/loss?domain=rack:1"),
    "/api/v1/role-rules": away("GET /api/v1/role-rules"),
    "/api/v1/role-rules/<string:rule_role>": away("POST /api/v1/role-rules/node", by="operator"),
    "/api/v1/maintenance": away("GET /api/v1/maintenance"),
    "/api/v1/maintenance/<string:machine>": away("DELETE /api/v1/maintenance/x", by="operator"),
    "/api/v1/machines/<string:machine>/retire": away(
        "POST /api/v1/machines/x/retire", by="operator"
    ),
    "/api/v1/machines/<string:machine>/readmit": away(
        "POST /api/v1/machines/x/readmit", by="operator"
    ),
    "/api/v1/machines/<string:machine>/reinstall": away(
        "POST /api/v1/machines/x/reinstall", by="operator"
    ),
    "/api/v1/replacement-plan": away("GET /api/v1/replacement-plan?machine=x"),
    "/api/v1/replacements": away("GET /api/v1/replacements"),
    "/api/v1/replacements/<string:replacement_id>": away("GET /api/v1/replacements/1"),
    "/api/v1/replacements/<string:replacement_id>/again": away(
        "POST /api/v1/replacements/1/again", by="operator"
    ),
    "/api/v1/replacements/<string:replacement_id>/cancel": away(
        "POST /api/v1/replacements/1/cancel", by="operator"
    ),
    "/api/v1/install-queue": away("GET /api/v1/install-queue"),
    "/api/v1/install-limits": away("GET /api/v1/install-limits"),
    "/lifecycle/progress": away("GET /lifecycle/progress"),
    "/lifecycle/progress/<string:raw_query>": away(
        f"POST /lifecycle/progress/{QUERY}", body={"verb": "report", "step": "waiting"}
    ),
    "/api/v1/plan": away("POST /api/v1/plan", by="operator", body={}),
    "/api/v1/plan/<string:plan_id>": away("GET /api/v1/plan/1"),
    "/api/v1/revisions": away("GET /api/v1/revisions"),
    "/api/v1/revisions/<string:number>": away("GET /api/v1/revisions/1"),
    "/api/v1/revisions/<string:number>/rollback": away(
        "POST /api/v1/revisions/1/rollback", by="operator", body={"reason": "x"}
    ),
    "/api/v1/revisions/<string:other>/diff/<string:number>": away(
        "GET /api/v1/revisions/1/diff/2?machine=x"
    ),
    "/api/v1/desired-configs": away("GET /api/v1/desired-configs"),
    "/api/v1/pending-changes": away("GET /api/v1/pending-changes"),
    "/api/v1/pending-changes/<string:change_id>": away("GET /api/v1/pending-changes/1"),
    "/api/v1/pending-changes/<string:change_id>/<string:decision>": away(
        "POST /api/v1/pending-changes/1/approve", by="operator", body={"reason": "x"}
    ),
    "/api/v1/policies": away("GET /api/v1/policies"),
    "/api/v1/policies/<string:policy>": away("GET /api/v1/policies/x"),
    "/api/v1/policies/<string:policy>/start": away("POST /api/v1/policies/x/start", by="operator"),
    "/api/v1/rollouts": away("GET /api/v1/rollouts"),
    "/api/v1/rollouts/<string:rollout>": away("GET /api/v1/rollouts/1"),
    "/api/v1/rollouts/<string:rollout>/machines": away("GET /api/v1/rollouts/1/machines"),
    "/api/v1/rollouts/<string:rollout>/<string:action>": away(
        "POST /api/v1/rollouts/1/pause", by="operator", body={"reason": "x"}
    ),
    "/api/v1/freezes": away("GET /api/v1/freezes"),
    "/api/v1/freezes/<string:freeze_id>": away("DELETE /api/v1/freezes/1", by="operator"),
    "/api/v1/slots": away("GET /api/v1/slots"),
    "/api/v1/why/machines/<string:machine>": away("GET /api/v1/why/machines/x"),
    "/api/v1/why/rollouts/<string:rollout>": away("GET /api/v1/why/rollouts/1"),
    "/v1/pre-reboot": away("POST /v1/pre-reboot", **LOCK),
    "/v1/steady-state": away("POST /v1/steady-state", **LOCK),
}
STILL_REFUSED = [
    unaffected("GET /nope", 404),
    unaffected("PUT /discovery", 405),
    unaffected("GET /discovery?x=%00", 400),
    unaffected("POST /scheduler", 401, body="{"),
    unaffected("POST /discovery", 406, body="junk"),
    unaffected("GET /install-authorization/os=x", 400),
    unaffected("POST /lifecycle/ignition/os=x", 406, body="{}"),
    unaffected("POST /lifecycle/coreos-install/done/os=x", 403),
    unaffected("POST /v1/pre-reboot", 400),
]


def refuse(*args, **kwargs):
    raise OperationalError("connection refused")


@pytest.fixture
def database_away(site, monkeypatch):
    """No statement reaches the database; a call of the fixture's value ends that."""
    with monkeypatch.context() as patch:
        patch.setattr(connection, "cursor", refuse)
        patch.setattr(connection, "chunked_cursor", refuse)
        yield patch.undo


def test_every_route_says_what_it_does_without_a_database():
    assert set(WITHOUT_DATABASE) == {route.rule for route in all_routes()}


def test_without_a_database(client, subtests, database_away, settings):
    with fake_matchbox() as matchbox:
        settings.MATCHBOX_URLS = [matchbox.url]
        walk(client, subtests, [*WITHOUT_DATABASE.values(), *STILL_REFUSED], is_story=True)


def test_the_console_says_so_too(client, database_away):
    client.raise_request_exception = False
    form = {"username": "operator", "password": "right"}
    session = {"cookie": f"sessionid={'a' * 32}"}
    for answer in (
        client.post("/admin/login/", form),
        client.get("/admin/machines/machine/", headers=session),
    ):
        assert answer.status_code == 503
        assert answer.headers["Content-Type"].startswith("text/html")
        assert b"does not answer" in answer.content


def test_it_goes_on_by_itself_when_the_database_is_back(client, database_away):
    check(client, WITHOUT_DATABASE["/discovery"])
    database_away()
    check(client, Row("back", "POST /discovery", 200, body=report_of(UNKNOWN)))


SERVED_BY_THE_ENGINE = [
    *(
        Row("", f"GET {path}", 200)
        for path in ("/", "/boot.ipxe", "/ui/view/machine", "/discovery")
    ),
    *(Row("", f"GET /{route}?{query(2)}", 200) for route in ("ipxe", "ignition", "metadata")),
    *(Row("", f"GET /{route}", 200) for route in ("ipxe", "ignition", "ignition-pxe", "metadata")),
    Row("", "POST /discovery", 200, body=report_of(UNKNOWN)),
    Row("", f"POST /lifecycle/ignition/{query(2)}", 210, body={}),
    Row("", f"GET /install-authorization/{query(WAITING)}", 200, text="Granted"),
    Row("", "GET /sync-notify", 200),
    Row("", "GET /scheduler", 200),
]


@pytest.mark.matchbox
def test_after_the_first_sync_no_machine_ever_waits_for_matchbox(client, synced, settings):
    with fake_matchbox() as matchbox:
        settings.MATCHBOX_URLS = [matchbox.url]
        for row in SERVED_BY_THE_ENGINE:
            check(client, row)
        assert not matchbox.asked


# --- a database that is there and takes no writes ------------------------------------------------
@contextmanager
def locked_by_somebody_else():
    """Another process's transaction on the machines; our own patience is short meanwhile."""
    if connection.vendor == "sqlite":
        patience, other = "PRAGMA busy_timeout = 50", _lock_sqlite
    else:
        patience, other = "SET lock_timeout = '50ms'", _lock_postgresql
    with connection.cursor() as cursor:
        cursor.execute(patience)
    with other():
        yield
    connection.close()  # the next one has its usual patience


@contextmanager
def _lock_sqlite():
    with closing(sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


LOCKED = (Machine, Cluster, InstallGate, Slot)


@contextmanager
def _lock_postgresql():
    with psycopg.connect(**connection.get_connection_params()) as other:
        tables = ", ".join(model._meta.db_table for model in LOCKED)
        other.execute(f"LOCK TABLE {tables} IN SHARE ROW EXCLUSIVE MODE")
        yield
        other.rollback()


WRITES_WAIT = [
    away("POST /discovery", body=report_of(UNKNOWN)),
    away("POST /scheduler", body=ROLES, by="operator"),
    away(f"GET /install-authorization/{QUERY}"),
    away("POST /v1/pre-reboot", **LOCK),
]
READS_GO_ON = [
    unaffected("GET /discovery"),
    unaffected("GET /scheduler"),
    unaffected(f"GET /scheduler?mac={mac_of(WAITING)}"),
    unaffected("GET /lifecycle/ignition"),
    unaffected("GET /ui/view/machine"),
    unaffected(f"GET /lifecycle/rolling/{QUERY}", 401),
]
THEN_IT_GOES_ON = [
    Row(
        "a report", "POST /discovery", 200, body=report_of(UNKNOWN), answer={"new-discovery": True}
    ),
    Row("roles", "POST /scheduler", 200, body=ROLES, by="operator"),
    Row("the gate", f"GET /install-authorization/{QUERY}", 200, text="Granted"),
    Row("a slot", "POST /v1/pre-reboot", 200, **LOCK),
]


@pytest.mark.django_db(transaction=True)
def test_while_somebody_holds_the_write_lock(client, subtests, site):
    with locked_by_somebody_else():
        walk(client, subtests, WRITES_WAIT + READS_GO_ON, is_story=True)
    walk(client, subtests, THEN_IT_GOES_ON, is_story=True)
