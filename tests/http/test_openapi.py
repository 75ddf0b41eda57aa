"""The OpenAPI document is complete, valid, committed, and true."""

import json
from pathlib import Path

import pytest
import schemathesis
import yaml
from django.conf import settings as django_settings
from django.core.management import call_command
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    content_type_conformance,
    ignored_auth,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from enjoliver.engine.openapi import openapi_document
from enjoliver.wsgi import application
from tests.http.places import ROUTES, asks, name, needs_operator
from tests.http.wsgi import connections_kept, get

COMMITTED = Path(django_settings.BASE_DIR) / "docs" / "openapi.yaml"


@pytest.fixture(scope="module")
def document():
    answer = get("/apispec_1.json")
    assert answer.status == 200
    return json.loads(answer.body)


# --- complete ------------------------------------------------------------------------------------
def test_every_route_is_in_the_document_with_all_its_methods(document):
    described = {
        path: {method.upper() for method in operations if method != "parameters"}
        for path, operations in document["paths"].items()
    }
    assert described == {route.openapi_path: set(route.methods) for route in ROUTES}


@pytest.mark.parametrize("ask", asks(), ids=name)
def test_every_operation_says_what_it_is_for(document, ask):
    method, route = ask
    operation = document["paths"][route.openapi_path][method.lower()]
    assert operation.get("summary") or operation.get("description"), "neither summary nor text"
    assert operation["tags"]
    assert operation["responses"]["default"]
    assert len(operation["responses"]) > 1
    named = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
    assert named == set(route.placeholders)
    assert bool(operation.get("security")) == needs_operator(method, route)


def test_every_answer_says_what_its_body_is_unless_it_has_none(document):
    bare = {
        (path, status)
        for path, operations in document["paths"].items()
        for operation in operations.values()
        for status, answer in operation["responses"].items()
        if not answer.get("content") and status not in ("302", "304")
    }
    assert bare == set()


def test_ids_of_operations_are_unique(document):
    ids = [
        operation["operationId"]
        for operations in document["paths"].values()
        for operation in operations.values()
    ]
    assert len(ids) == len(set(ids))


def test_an_operator_s_operation_takes_all_three_credentials(document):
    security = document["paths"]["/shutdown"]["post"]["security"]
    assert [next(iter(one)) for one in security] == ["basicAuth", "tokenAuth", "cookieAuth"]
    assert set(document["components"]["securitySchemes"]) == {
        "basicAuth",
        "tokenAuth",
        "cookieAuth",
    }


# --- valid and committed -------------------------------------------------------------------------
def test_the_document_is_valid_and_the_committed_one_is_the_same(tmp_path):
    made = tmp_path / "openapi.yaml"
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(made))
    assert made.read_text() == COMMITTED.read_text(), "run `make generate`"


def test_the_committed_document_is_the_one_that_is_served(document):
    assert yaml.safe_load(COMMITTED.read_text()) == document


def test_the_document_can_be_asked_for_by_its_etag():
    first = get("/apispec_1.json")
    again = get("/apispec_1.json", HTTP_IF_NONE_MATCH=first.header("ETag"))
    assert (again.status, again.body) == (304, b"")


# --- true ----------------------------------------------------------------------------------------
AWAY = (501, 502, 503)
"""Not built, matchbox away, out of sync: said on purpose, and described."""
QUICK = settings(
    max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
CHECKS = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    allow_header_conformance,
    ignored_auth,
]


schema = schemathesis.openapi.from_dict(openapi_document())
schema.app = application
OPERATIONS = [one.ok() for one in schema.get_all_operations() if isinstance(one, Ok)]


def test_every_operation_can_be_called():
    assert len(OPERATIONS) == len(asks())


@pytest.mark.django_db
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_answers_are_as_the_document_says(fleet, operator, settings, tmp_path, operation):
    settings.STATE_DIR = tmp_path
    headers = {"Authorization": operator["HTTP_AUTHORIZATION"]}

    @QUICK
    @given(operation.as_strategy())
    def run(case):
        answer = case.call(headers=headers)
        checks = CHECKS if answer.status_code in AWAY else [*CHECKS, not_a_server_error]
        case.validate_response(answer, checks=checks, headers=headers)

    with connections_kept():
        run()
