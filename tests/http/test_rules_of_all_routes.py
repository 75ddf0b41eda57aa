"""What the contract says of every route, asked of every route that there is."""

import json
from functools import partial

import pytest
from django.middleware.csrf import get_token
from django.test import Client
from rest_framework.authtoken.models import Token

from tests.http.places import METHODS, PLACES, ROUTES, asks, name, needs_operator, path_of
from tests.http.wsgi import Call, get, send

pytestmark = pytest.mark.django_db

OPERATORS = {
    ("POST", "/scheduler"),
    ("POST", "/lifecycle/rolling/<string:raw_query>"),
    ("DELETE", "/lifecycle/rolling/<string:raw_query>"),
    ("POST", "/sync-notify"),
    ("POST", "/ignition/version/<string:name>"),
    ("GET", "/backup/export"),
    ("GET", "/backup/db"),
    ("POST", "/backup/db"),
    ("GET", "/config"),
    ("GET", "/configs"),
    ("POST", "/shutdown"),
    ("POST", "/api/v1/locations"),
    ("POST", "/api/v1/role-rules/<string:rule_role>"),
    ("POST", "/api/v1/maintenance/<string:machine>"),
    ("DELETE", "/api/v1/maintenance/<string:machine>"),
    ("POST", "/api/v1/machines/<string:machine>/retire"),
    ("POST", "/api/v1/machines/<string:machine>/readmit"),
    ("POST", "/api/v1/machines/<string:machine>/reinstall"),
    ("POST", "/api/v1/replacements"),
    ("POST", "/api/v1/replacements/<string:replacement_id>/again"),
    ("POST", "/api/v1/replacements/<string:replacement_id>/cancel"),
    ("POST", "/api/v1/install-limits"),
    ("POST", "/api/v1/policies"),
    ("PATCH", "/api/v1/policies/<string:policy>"),
    ("DELETE", "/api/v1/policies/<string:policy>"),
    ("POST", "/api/v1/policies/<string:policy>/start"),
    ("POST", "/api/v1/rollouts/<string:rollout>/<string:action>"),
    ("POST", "/api/v1/freezes"),
    ("DELETE", "/api/v1/freezes/<string:freeze_id>"),
    ("POST", "/api/v1/plan"),
    ("POST", "/api/v1/revisions/<string:number>/rollback"),
    ("POST", "/api/v1/pending-changes/<string:change_id>/<string:decision>"),
}
CONTRACT = {
    "/": "GET",
    "/healthz": "GET",
    "/livez": "GET",
    "/readyz": "GET",
    "/boot.ipxe": "GET",
    "/boot.ipxe.0": "GET",
    "/ipxe": "GET",
    "/ignition": "GET",
    "/ignition-pxe": "GET",
    "/metadata": "GET",
    "/assets": "GET",
    "/assets/<string:path>": "GET",
    "/discovery": "GET POST",
    "/discovery/interfaces": "GET",
    "/discovery/ignition-journal": "GET",
    "/discovery/ignition-journal/<string:uuid>": "GET",
    "/discovery/ignition-journal/<string:uuid>/<string:boot_id>": "GET",
    "/scheduler": "GET POST",
    "/scheduler/<string:role>": "GET",
    "/scheduler/available": "GET",
    "/scheduler/ip-list/<string:role>": "GET",
    "/install-authorization/<string:raw_query>": "GET",
    "/lifecycle/coreos-install": "GET",
    "/lifecycle/coreos-install/<string:status>/<string:raw_query>": "POST",
    "/lifecycle/ignition": "GET",
    "/lifecycle/ignition/<string:raw_query>": "POST",
    "/lifecycle/progress": "GET",
    "/lifecycle/progress/<string:raw_query>": "POST",
    "/lifecycle/rolling": "GET",
    "/lifecycle/rolling/<string:raw_query>": "GET POST DELETE",
    "/sync-notify": "GET POST",
    "/ignition/version": "GET",
    "/ignition/version/<string:name>": "GET POST",
    "/backup/export": "GET",
    "/backup/db": "GET POST",
    "/config": "GET",
    "/configs": "GET",
    "/ui": "GET",
    "/ui/view/machine": "GET",
    "/ui/view/states": "GET",
    "/shutdown": "POST",
    "/metrics": "GET",
    "/apidocs": "GET",
    "/apidocs/index.html": "GET",
    "/apispec_1.json": "GET",
    "/api/v1/locations": "GET POST",
    "/api/v1/placement": "GET",
    "/api/v1/placement/loss": "GET",
    "/api/v1/role-rules": "GET",
    "/api/v1/role-rules/<string:rule_role>": "POST",
    "/api/v1/maintenance": "GET",
    "/api/v1/maintenance/<string:machine>": "POST DELETE",
    "/api/v1/machines/<string:machine>/retire": "POST",
    "/api/v1/machines/<string:machine>/readmit": "POST",
    "/api/v1/machines/<string:machine>/reinstall": "POST",
    "/api/v1/replacement-plan": "GET",
    "/api/v1/replacements": "GET POST",
    "/api/v1/replacements/<string:replacement_id>": "GET",
    "/api/v1/replacements/<string:replacement_id>/again": "POST",
    "/api/v1/replacements/<string:replacement_id>/cancel": "POST",
    "/api/v1/install-queue": "GET",
    "/api/v1/install-limits": "GET POST",
    "/api/v1/policies": "GET POST",
    "/api/v1/policies/<string:policy>": "GET PATCH DELETE",
    "/api/v1/policies/<string:policy>/start": "POST",
    "/api/v1/rollouts": "GET",
    "/api/v1/rollouts/<string:rollout>": "GET",
    "/api/v1/rollouts/<string:rollout>/machines": "GET",
    "/api/v1/rollouts/<string:rollout>/<string:action>": "POST",
    "/api/v1/freezes": "GET POST",
    "/api/v1/freezes/<string:freeze_id>": "DELETE",
    "/api/v1/slots": "GET",
    "/api/v1/why/machines/<string:machine>": "GET",
    "/api/v1/why/rollouts/<string:rollout>": "GET",
    "/api/v1/plan": "POST",
    "/api/v1/plan/<string:plan_id>": "GET",
    "/api/v1/revisions": "GET",
    "/api/v1/revisions/<string:number>": "GET",
    "/api/v1/revisions/<string:number>/rollback": "POST",
    "/api/v1/revisions/<string:other>/diff/<string:number>": "GET",
    "/api/v1/desired-configs": "GET",
    "/api/v1/pending-changes": "GET",
    "/api/v1/pending-changes/<string:change_id>": "GET",
    "/api/v1/pending-changes/<string:change_id>/<string:decision>": "POST",
    "/v1/pre-reboot": "POST",
    "/v1/steady-state": "POST",
}


def test_every_route_of_the_contract_is_there_with_its_methods():
    found = {route.rule: set(route.methods) for route in ROUTES}
    for rule, methods in CONTRACT.items():
        assert found.get(rule) == set(methods.split()), rule


def test_the_index_lists_exactly_these_routes_sorted():
    rules = json.loads(get("/").body)
    assert rules == sorted({route.rule for route in ROUTES})
    assert rules == sorted(rules)


def test_every_placeholder_has_a_plausible_value_here():
    assert {name for route in ROUTES for name in route.placeholders} <= set(PLACES)


def test_the_operators_routes_are_those_of_the_contract():
    assert {(method, route.rule) for method, route in asks(guarded=True)} == OPERATORS


# --- methods -------------------------------------------------------------------------------------
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.rule)
def test_wrong_methods_are_405_with_allow(route):
    allowed = {*route.methods} | ({"HEAD"} if "GET" in route.methods else set())
    for method in METHODS:
        if method in (*allowed, "OPTIONS"):
            continue
        answer = send(Call(method, path_of(route).encode()))
        assert answer.status == 405, method
        assert set((answer.header("Allow") or "").split(", ")) == allowed, method
        if method != "HEAD":
            assert json.loads(answer.body)["kind"] == "method_not_allowed"


def test_head_answers_as_get_without_a_body(fleet):
    for method, route in asks(guarded=False):
        if method != "GET":
            continue
        path = path_of(route).encode()
        got, head = send(Call("GET", path)), send(Call("HEAD", path))
        assert head.status == got.status, route.rule
        assert head.body == b"", route.rule
        assert head.header("Content-Type") == got.header("Content-Type"), route.rule


def test_a_trailing_slash_changes_nothing_and_redirects_nowhere(fleet):
    for method, route in asks():
        if route.rule in ("/", "/assets/<string:path>"):
            continue  # the root has no other spelling; an asset's path ends where its name ends
        path = path_of(route)
        plain = send(Call(method, path.encode()))
        slashed = send(Call(method, f"{path}/".encode()))
        assert slashed.status == plain.status, route.rule
        assert slashed.header("Location") == plain.header("Location"), route.rule


@pytest.mark.parametrize("path", ["/nope", "/discoveries", "/scheduler/a/b/c", "/v1", "/backup"])
def test_an_unknown_path_is_a_json_404(path):
    answer = get(path)
    assert answer.status == 404
    assert set(json.loads(answer.body)) == {"kind", "value"}


# --- who may call --------------------------------------------------------------------------------
@pytest.mark.parametrize("ask", asks(), ids=name)
def test_a_foreign_network_is_refused_everywhere(settings, ask):
    settings.NODE_NETWORKS = ["10.0.0.0/8"]
    method, route = ask
    answer = send(Call(method, path_of(route).encode(), address="192.0.2.1"))
    assert (answer.status, json.loads(answer.body)["kind"]) == (403, "network_not_allowed")


@pytest.mark.parametrize("ask", asks(guarded=True), ids=name)
def test_without_credentials_it_is_401_before_the_body_is_looked_at(ask):
    method, route = ask
    for body in (b"", b"{", b"[" * 100_000):
        answer = send(Call(method, path_of(route).encode(), body=body))
        assert answer.status == 401
        assert json.loads(answer.body)["kind"] == "not_authenticated"
        assert "Basic" in (answer.header("WWW-Authenticate") or "")


@pytest.mark.parametrize("ask", [ask for ask in asks(guarded=True) if ask[0] == "GET"], ids=name)
def test_head_of_a_guarded_read_is_guarded_too(ask):
    assert send(Call("HEAD", path_of(ask[1]).encode())).status == 401


@pytest.mark.parametrize("ask", asks(guarded=True), ids=name)
def test_without_the_permission_it_is_403_before_the_body_is_looked_at(reader, ask):
    method, route = ask
    answer = send(Call(method, path_of(route).encode(), body=b"{", headers=reader))
    assert (answer.status, json.loads(answer.body)["kind"]) == (403, "forbidden")


@pytest.mark.parametrize("ask", asks(guarded=True), ids=name)
def test_every_operator_route_names_a_permission_that_exists(ask):
    from django.contrib.auth.models import Permission

    permission = ask[1].view_class.permission
    app, _, codename = permission.partition(".")
    assert Permission.objects.filter(content_type__app_label=app, codename=codename).exists()


def test_an_operator_gets_past_the_guard(fleet, operator, settings, tmp_path):
    settings.STATE_DIR = tmp_path
    for method, route in asks(guarded=True):
        answer = send(Call(method, path_of(route).encode(), headers=operator))
        assert answer.status not in (401, 403, 500), (route.rule, answer.failure)


def test_a_token_and_a_session_open_operator_routes(fleet, client, admin_user):
    token = Token.objects.create(user=admin_user)
    assert get("/config", HTTP_AUTHORIZATION=f"Token {token.key}").status == 200
    client.force_login(admin_user)
    assert client.get("/config").status_code == 200


@pytest.mark.parametrize(
    "content_type", ["application/json", "text/plain", "multipart/form-data; boundary=x"]
)
def test_a_session_with_its_token_sends_bodies_too(fleet, admin_user, content_type):
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    token = get_token(client.get("/admin/").wsgi_request)
    client.cookies["csrftoken"] = token
    ask = partial(client.generic, "POST", "/sync-notify", b"{}", content_type)
    assert ask(headers={"X-CSRFToken": token}).status_code == 200
    refused = ask()
    assert (refused.status_code, refused.json()["kind"]) == (403, "csrf_failed")
    freeze = partial(client.generic, "POST", "/api/v1/freezes", b'{"reason": "x"}', content_type)
    assert freeze(headers={"X-CSRFToken": token}).json()["reason"] == "x"


def test_machines_routes_ask_for_no_credential(fleet, matchbox):
    for method, route in asks(guarded=False):
        answer = send(Call(method, path_of(route).encode()))
        assert answer.header("WWW-Authenticate") is None, route.rule
        assert answer.status != 500, (route.rule, answer.failure)


# --- hostile paths -------------------------------------------------------------------------------
@pytest.mark.parametrize("ask", asks(), ids=name)
def test_control_characters_are_refused_before_anything_else(ask, django_assert_num_queries):
    method, route = ask
    path = path_of(route).encode()
    spoiled = [
        Call(method, path + b"\x00"),
        Call(method, path + b"\n"),
        Call(method, path + b"%00"),
        Call(method, path, b"mac=%00"),
        Call(method, path, b"mac=525400000001&x=%0a"),
        Call(method, path, b"x=%7f"),
    ]
    for call in spoiled:
        with django_assert_num_queries(0):
            answer = send(call)
        assert answer.status == 400, call
        assert json.loads(answer.body)["kind"] == "control_characters"


@pytest.mark.parametrize("ask", asks(), ids=name)
def test_a_foreign_host_name_is_a_json_400(ask):
    method, route = ask
    answer = send(Call(method, path_of(route).encode(), headers={"HTTP_HOST": "evil.example"}))
    assert (answer.status, json.loads(answer.body)["kind"]) == (400, "host_not_allowed")


RAW_QUERY_ASKS = [ask for ask in asks() if "raw_query" in ask[1].placeholders]
BAD_QUERIES = [
    "os=installed",
    "mac=",
    "mac=fake",
    "xmac=52-54-00-00-00-01",
    "mac=525400000001&uuid=x",
]


@pytest.mark.parametrize("ask", RAW_QUERY_ASKS, ids=name)
def test_a_query_without_a_machine_is_refused_and_writes_nothing(fleet, operator, ask):
    method, route = ask
    before = rows()
    for raw_query in BAD_QUERIES:
        path = path_of(route, raw_query=raw_query).encode()
        answer = send(Call(method, path, body=b"{}", headers=operator))
        assert 400 <= answer.status < 500, (raw_query, answer.failure)
        assert {"kind", "value"} <= set(json.loads(answer.body)), raw_query
        assert rows() == before, raw_query


@pytest.mark.parametrize("ask", RAW_QUERY_ASKS, ids=name)
def test_a_uuid_of_another_machine_is_409_and_an_event(fleet, operator, ask):
    from machines.models import Event, Machine
    from machines.tests.factories import mac_of, uuid_of

    method, route = ask
    states = list(Machine.objects.order_by("pk").values_list("state", "state_at"))
    query = f"uuid={uuid_of(2)}&mac={mac_of(1)}&os=installed"
    answer = send(
        Call(method, path_of(route, raw_query=query).encode(), body=b"{}", headers=operator)
    )
    assert answer.status == 409, answer.body
    assert json.loads(answer.body)["kind"] == "identity_conflict"
    assert Event.objects.filter(kind="identity_conflict").exists()
    assert list(Machine.objects.order_by("pk").values_list("state", "state_at")) == states


def rows():
    """How many rows each table of ours has, but for the operators' own log."""
    from django.apps import apps

    counted = ("machines", "scheduling", "matchbox_sync", "lifecycle")
    return {
        model._meta.label: model._default_manager.count()
        for model in apps.get_models()
        if model._meta.app_label in counted and model._meta.managed
    }


def test_needs_operator_is_false_for_a_machines_route():
    assert not any(needs_operator("GET", route) for route in ROUTES if route.rule == "/discovery")
