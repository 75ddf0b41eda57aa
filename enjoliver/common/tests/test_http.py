"""The two view classes: one error shape, networks, operators, bodies."""

import base64
import io
import json
from contextlib import suppress
from unittest.mock import Mock

import pytest
from django.contrib.auth.models import Permission, User
from django.core.handlers.wsgi import WSGIRequest
from django.db import OperationalError
from django.test import RequestFactory
from gunicorn.http.errors import (  # type: ignore[import-untyped]
    ChunkMissingTerminator,
    InvalidChunkSize,
)
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.authtoken.models import Token

from enjoliver.common import http
from enjoliver.common.errors import Conflict, InvalidInput, NotAcceptable
from enjoliver.common.http import (
    MachineView,
    OperatorView,
    client_address,
    etag_response,
    in_networks,
    json_response,
    parse_json,
    read_body,
)

rf = RequestFactory()


class Machines(MachineView):
    raises: Exception | None = None

    def get(self, request, **kwargs):
        if self.raises:
            raise self.raises
        return json_response({"method": request.method})


class Operators(OperatorView):
    permission = "machines.change_machine"

    def get(self, request):
        return json_response("open")

    def post(self, request):
        return json_response(str(request.user))


class Guarded(Operators):
    operator_methods = ("GET", "POST")


def document(answer):
    return json.loads(answer.content)


# --- errors --------------------------------------------------------------------------------------
def test_an_expected_failure_is_kind_value_and_the_old_keys():
    view = Machines.as_view(
        raises=NotAcceptable("no uuid", fields={"boot-info.uuid": "required"}, extra={"disks": []})
    )
    answer = view(rf.get("/"))
    assert answer.status_code == 406
    assert document(answer) == {
        "kind": "not_acceptable",
        "value": "no uuid",
        "fields": {"boot-info.uuid": "required"},
        "disks": [],
    }


def test_headers_of_an_error_go_on_the_answer():
    answer = Machines.as_view(raises=Conflict("later", headers={"Retry-After": "7"}))(rf.get("/"))
    assert (answer.status_code, answer.headers["Retry-After"]) == (409, "7")


def test_a_database_that_is_away_is_503_and_may_be_asked_again():
    answer = Machines.as_view(raises=OperationalError("gone"))(rf.get("/"))
    assert answer.status_code == 503
    assert document(answer)["kind"] == "database_unavailable"
    assert answer.headers["Retry-After"] == "5"
    assert "gone" not in answer.content.decode()


# --- methods -------------------------------------------------------------------------------------
def test_a_wrong_method_is_405_with_allow():
    answer = Machines.as_view()(rf.post("/"))
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert document(answer)["kind"] == "method_not_allowed"


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "BREW", "DISPATCH", "GUARD", "__INIT__"])
def test_no_word_of_the_caller_reaches_another_attribute_of_the_view(method):
    assert Machines.as_view()(rf.generic(method, "/")).status_code == 405


def test_head_works_where_get_does():
    assert Machines.as_view()(rf.head("/")).status_code == 200


def test_options_lists_the_methods():
    answer = Machines.as_view()(rf.options("/"))
    assert (answer.status_code, answer.headers["Allow"]) == (200, "GET, HEAD, OPTIONS")


# --- networks ------------------------------------------------------------------------------------
def test_other_networks_get_403(settings):
    settings.NODE_NETWORKS = ["10.0.0.0/8"]
    answer = Machines.as_view()(rf.get("/", REMOTE_ADDR="192.0.2.1"))
    assert (answer.status_code, document(answer)["kind"]) == (403, "network_not_allowed")
    assert Machines.as_view()(rf.get("/", REMOTE_ADDR="10.1.2.3")).status_code == 200


@pytest.mark.parametrize(
    ("address", "is_inside"),
    [("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("fe80::1%eth0", True), ("11.0.0.1", False)],
)
def test_addresses_are_matched_in_every_spelling(address, is_inside):
    assert in_networks(address, ("10.0.0.0/8", "fe80::/10")) is is_inside


def test_a_forwarded_address_counts_only_from_a_trusted_proxy(settings):
    settings.TRUSTED_PROXIES = ["10.0.0.1/32", "10.0.0.2/32"]
    request = rf.get("/", HTTP_X_FORWARDED_FOR="203.0.113.9, 192.0.2.7, 10.0.0.2")
    for address, found in (("10.0.0.1", "192.0.2.7"), ("198.51.100.1", "198.51.100.1")):
        request.META["REMOTE_ADDR"] = address
        assert client_address(request) == found


@pytest.mark.parametrize("forwarded", ["", "nonsense", ",,,", "1.2.3", "[::1]:80", "\u0661.1.1.1"])
def test_nonsense_from_a_proxy_is_ignored(settings, forwarded):
    settings.TRUSTED_PROXIES = ["10.0.0.1/32"]
    request = rf.get("/", REMOTE_ADDR="10.0.0.1", HTTP_X_FORWARDED_FOR=forwarded)
    assert client_address(request) == "10.0.0.1"


# --- operators -----------------------------------------------------------------------------------
def basic(name, password):
    return {
        "HTTP_AUTHORIZATION": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()
    }


@pytest.fixture
def operator(db):
    user = User.objects.create_user("operator", password="right")
    user.user_permissions.add(Permission.objects.get(codename="change_machine"))
    return user


def test_reads_of_an_operator_route_are_open():
    assert Operators.as_view()(rf.get("/")).status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_every_guarded_method_needs_an_operator_and_head_is_guarded_like_get(method):
    answer = Guarded.as_view()(rf.generic(method, "/"))
    assert answer.status_code == 401
    assert "Basic" in answer.headers["WWW-Authenticate"]


def test_basic_credentials_of_an_operator_are_taken(operator):
    answer = Operators.as_view()(rf.post("/", **basic("operator", "right")))
    assert (answer.status_code, document(answer)) == (200, "operator")


def test_a_token_is_taken(operator):
    token = Token.objects.create(user=operator)
    answer = Operators.as_view()(rf.post("/", HTTP_AUTHORIZATION=f"Token {token.key}"))
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        "Basic",
        "Basic !!!",
        "Basic " + base64.b64encode(b"nocolon").decode(),
        "Basic " + base64.b64encode(b"operator:wrong").decode(),
        "Basic " + base64.b64encode(b"ope\x00rator:right").decode(),
        "Basic " + base64.b64encode(b"operator:ri\x00ght").decode(),
        "Basic " + base64.b64encode(b"\xff\xfe:\xff").decode(),
        "Basic " + base64.b64encode(b"x" * 5000 + b":y").decode(),
        "Basic " + base64.b64encode("\ud800:x".encode("utf-8", "surrogatepass")).decode(),
        "Token",
        "Token a b",
        "Token \xff",
        "Token nobody",
        "Bearer x",
    ],
)
def test_whatever_is_no_credential_is_401(operator, header):
    answer = Operators.as_view()(rf.post("/", HTTP_AUTHORIZATION=header))
    assert answer.status_code == 401
    assert set(document(answer)) == {"kind", "value"}


def test_a_user_without_the_permission_gets_403(db):
    User.objects.create_user("reader", password="right")
    answer = Operators.as_view()(rf.post("/", **basic("reader", "right")))
    assert (answer.status_code, document(answer)["kind"]) == (403, "forbidden")


def test_an_inactive_operator_gets_401(operator):
    operator.is_active = False
    operator.save()
    assert Operators.as_view()(rf.post("/", **basic("operator", "right"))).status_code == 401


def test_the_body_is_not_read_before_the_operator_is_known(db):
    request = rf.post("/", data=b"{", content_type="application/json")
    assert Operators.as_view()(request).status_code == 401
    assert not hasattr(request, "_body")


# --- bodies --------------------------------------------------------------------------------------
def test_a_body_that_is_too_large_is_refused_by_its_length(settings):
    request = rf.post("/", data=b"x", content_type="text/plain")
    request.META["CONTENT_LENGTH"] = str(http.MAX_BODY_BYTES + 1)
    with pytest.raises(InvalidInput) as refused:
        read_body(request)
    assert refused.value.status_code == 413


class Stream(io.BytesIO):
    """A body whose sender falls silent after what it sent."""

    def __init__(self, sent, *, is_broken):
        super().__init__(sent)
        self.is_broken = is_broken

    def read(self, size=-1):
        part = super().read(size)
        if not part and self.is_broken:
            raise ConnectionResetError
        return part


def chunked(sent, *, is_broken=False):
    """A request as gunicorn hands it on: no length, but an input that ends by itself."""
    request = rf.post("/", data=b"", content_type="text/plain")
    request.META.pop("CONTENT_LENGTH", None)
    request.META["wsgi.input"] = Stream(sent, is_broken=is_broken)
    request.META["wsgi.input_terminated"] = True
    return request


def test_a_body_in_chunks_is_read_as_any_other():
    assert read_body(chunked(b'{"strategy": "reboot"}')) == b'{"strategy": "reboot"}'
    assert read_body(chunked(b"")) == b""


def test_a_body_in_chunks_is_bounded_too():
    with pytest.raises(InvalidInput) as refused:
        read_body(chunked(b"x" * (http.MAX_BODY_BYTES + 1)))
    assert refused.value.status_code == 413


def test_a_body_that_breaks_off_is_the_callers_fault():
    with pytest.raises(InvalidInput) as refused:
        read_body(chunked(b"", is_broken=True))
    assert (refused.value.status_code, refused.value.kind) == (400, "body_incomplete")
    request = rf.post("/", data=b"x", content_type="text/plain")
    request.environ["wsgi.input"] = Stream(b"", is_broken=True)
    broken = type(request)(request.environ)
    with pytest.raises(InvalidInput):
        read_body(broken)


@pytest.mark.parametrize("sent", [b"", b"{}"])
def test_a_body_shorter_than_its_length_did_not_arrive_whole(sent):
    environ = rf.post("/", data=sent, content_type="text/plain").environ
    environ |= {"wsgi.input": io.BytesIO(sent), "CONTENT_LENGTH": str(len(sent) + 1)}
    request = WSGIRequest(environ)
    with pytest.raises(InvalidInput) as refused:
        read_body(request)
    assert (refused.value.status_code, refused.value.kind) == (400, "body_incomplete")


@pytest.mark.parametrize("why", [InvalidChunkSize(b"zz"), ChunkMissingTerminator(b"x")])
def test_chunks_that_cannot_be_read_are_the_callers_fault(why):
    request = chunked(b"")
    request.META["wsgi.input"] = Mock(read=Mock(side_effect=why))
    with pytest.raises(InvalidInput) as refused:
        read_body(request)
    assert (refused.value.status_code, refused.value.kind) == (400, "bad_chunks")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"NaN",
        b"[Infinity]",
        b"\xff",
        b'"\\ud800"',
        b"[" * 200_000,
        b'{"a":' * 50_000,
        b"1" * 5000,
    ],
)
def test_what_is_no_json_is_a_value_error(body):
    with pytest.raises(ValueError):
        parse_json(body)


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**70), 2**70)
        | st.text(st.characters(exclude_categories=["Cs"])),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
        ),
        max_leaves=20,
    )
)
def test_json_comes_back_as_it_was_sent(value):
    assert parse_json(json.dumps(value).encode()) == value
    assert parse_json(json.dumps(value, ensure_ascii=False).encode()) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_json_or_a_value_error(body):
    with suppress(ValueError):
        parse_json(body)


# --- ETag ----------------------------------------------------------------------------------------
def test_a_known_etag_gets_304():
    first = etag_response(rf.get("/"), b"body", content_type="text/plain")
    tag = first.headers["ETag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = etag_response(
            rf.get("/", HTTP_IF_NONE_MATCH=known), b"body", content_type="text/plain"
        )
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
        assert "Content-Type" not in again.headers
    other = etag_response(
        rf.get("/", HTTP_IF_NONE_MATCH=tag), b"new body", content_type="text/plain"
    )
    assert other.status_code == 200
