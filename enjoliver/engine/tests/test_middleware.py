"""What no route may see is refused before anything else; machines' routes know no session."""

import pytest
from django.http import HttpResponse, StreamingHttpResponse
from django.test import RequestFactory, override_settings
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from enjoliver.middleware import guard, host_is_allowed

rf = RequestFactory()
OURS = ("localhost", "engine.example")


def passed(request):
    return HttpResponse("passed")


def ask(**environ):
    request = rf.get("/")
    request.META.update(environ)
    if "path" in environ:
        request.path_info = environ["path"]
    return guard(passed)(request)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/discovery\x00", ""),
        ("/lifecycle/ignition/mac=\n", ""),
        ("/lifecycle/ignition/mac=%00", ""),  # was %2500 on the wire, decoded once
        ("/lifecycle/ignition/mac=%2500", ""),
        ("/", "mac=%00"),
        ("/", "mac=%0d%0aSet-Cookie"),
        ("/", "mac=%7F"),
        ("/", "mac=%250a"),
        ("/", "mac=\x1b"),
    ],
)
def test_control_characters_are_refused_however_they_are_encoded(path, query):
    answer = ask(path=path, QUERY_STRING=query)
    assert answer.status_code == 400
    assert b"control_characters" in answer.content


@pytest.mark.parametrize("query", ["a=%zz", "a=%", "a=100%25", "a=%C3%A9", "a=%F0%9F%90%A7", "%"])
def test_other_percent_signs_pass(query):
    assert ask(QUERY_STRING=query).content == b"passed"


@given(st.text(st.characters(max_codepoint=255)))
def test_any_query_passes_or_is_refused(query):
    assert ask(QUERY_STRING=query).status_code in (200, 400)


@pytest.mark.parametrize(
    ("host", "is_allowed"),
    [
        ("", True),
        ("localhost", True),
        ("LOCALHOST:5000", True),
        ("engine.example.", True),
        ("10.0.0.1:5000", True),
        ("[fd00::1]:5000", True),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("engine.example@evil.example", False),
        ("a b", False),
        ("[", False),
        ("\xff", False),
        ("10.0.0.1:port", False),
    ],
)
def test_our_names_and_any_address_are_hosts_of_ours(host, is_allowed):
    assert host_is_allowed(host, OURS) is is_allowed


def test_a_foreign_host_is_a_json_400(client):
    answer = client.get("/livez", HTTP_HOST="evil.example")
    assert answer.status_code == 400
    assert answer.json()["kind"] == "host_not_allowed"
    assert "ENJOLIVER_ALLOWED_HOSTS" in answer.json()["value"]


@pytest.mark.parametrize("length", ["-1", "1e3", "٣", "1_0", "x"])
def test_a_length_that_is_no_number_is_refused(length):
    answer = ask(CONTENT_LENGTH=length)
    assert (answer.status_code, b"bad_content_length" in answer.content) == (400, True)


@pytest.mark.django_db
def test_a_machine_s_route_opens_no_session(client, django_assert_num_queries):
    with django_assert_num_queries(0):
        answer = client.get("/livez")
    assert not answer.cookies


def test_invented_methods_make_no_new_time_series(client):
    def series():
        return {
            (sample.name, *sorted(sample.labels.items()))
            for metric in REGISTRY.collect()
            for sample in metric.samples
            if "method" in sample.labels
        }

    client.generic("BREW", "/livez")
    before = series()
    for number in range(5):
        assert client.generic(f"BREW{number}", "/livez").status_code == 405
    assert series() == before


@override_settings(DEBUG=False)
def test_an_unknown_path_is_a_json_404(client):
    answer = client.get("/no/such/path")
    assert answer.status_code == 404
    assert answer.json()["kind"] == "not_found"


@pytest.mark.django_db
def test_an_unknown_page_of_the_console_is_html(admin_client):
    answer = admin_client.get("/admin/no/such/page/")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"].startswith("text/html")


@pytest.mark.django_db
def test_a_session_without_its_csrf_token_is_a_json_403(admin_client, settings):
    admin_client.handler.enforce_csrf_checks = True
    answer = admin_client.post("/shutdown")
    assert answer.status_code == 403
    assert answer.json()["kind"] == "csrf_failed"


def test_an_answer_has_its_length_and_head_only_that(client):
    got, head = client.get("/livez"), client.head("/livez")
    assert got.headers["Content-Length"] == head.headers["Content-Length"] == str(len(got.content))
    request = rf.head("/")
    plain = HttpResponse("body")
    assert guard(lambda _: plain)(request) is plain
    assert plain.content == b""
    streamed = StreamingHttpResponse(iter([b"never", b"made"]))
    assert guard(lambda _: streamed)(request) is streamed
    assert streamed.getvalue() == b""
