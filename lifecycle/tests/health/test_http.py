"""The kind http: statuses, values, expressions, redirects, TLS, and limits of time and size."""

import json
import shutil
import threading

import pytest

from lifecycle.health import check_config, http
from lifecycle.health.processes import run_bounded
from lifecycle.tests.health.servers import deaf_port, server_context, serving


def always(status=200, body=b"", **headers):
    return lambda request: (status, headers, body)


def test_the_expected_status_is_good(check):
    with serving(always(204)) as url:
        assert check("http", {"url": url, "status": 204}).is_good
        assert check("http", {"url": url, "status": [200, 204]}).is_good
        result = check("http", {"url": url})
    assert (result.is_good, result.message) == (False, f"{url} answers 204, expected 200")


DOCUMENT = {"status": {"health": "HEALTH_OK", "osds": [{"up": True}], "a/b": 1, "m~n": None}}


@pytest.mark.parametrize(
    ("more", "is_good"),
    [
        ({"json_pointer": "/status/health", "equals": "HEALTH_OK"}, True),
        ({"json_pointer": "/status/health", "equals": "HEALTH_WARN"}, False),
        ({"json_pointer": "/status/health", "regex": "^HEALTH_(OK|WARN)$"}, True),
        ({"json_pointer": "/status/osds/0/up", "equals": True}, True),
        ({"json_pointer": "/status/osds/0/up", "equals": 1}, False),
        ({"json_pointer": "/status/osds/1/up", "equals": True}, False),
        ({"json_pointer": "/status/a~1b", "equals": 1}, True),
        ({"json_pointer": "/status/m~0n", "equals": None}, True),
        ({"json_pointer": "/status/missing", "equals": None}, False),
        ({"json_pointer": "/status/osds", "regex": '"up": true'}, True),
        ({"regex": "HEALTH_[A-Z]+"}, True),
        ({"regex": "HEALTH_ERR"}, False),
    ],
)
def test_a_value_or_a_text_of_the_answer_is_judged(check, more, is_good):
    with serving(always(body=json.dumps(DOCUMENT).encode())) as url:
        result = check("http", {"url": url} | more)
    assert result.is_good is is_good, result.message


def test_an_answer_that_is_no_json_says_so(check):
    with serving(always(body=b"<html>")) as url:
        result = check("http", {"url": url, "json_pointer": "/a", "equals": 1})
    assert result.message.startswith(f"{url} answers no JSON")


def test_an_expression_that_takes_for_ever_is_stopped(check, monkeypatch):
    asked = []

    def stop_soon(arguments, *, seconds, given):
        asked.append(seconds)
        return run_bounded(arguments, seconds=0.5, given=given)

    monkeypatch.setattr(http, "run_bounded", stop_soon)
    with serving(always(body=b"a" * 64 + b"!")) as url:
        result = check("http", {"url": url, "regex": "(a+)+$"}, seconds=70.0)
    assert result.message == "the regular expression took longer than 70 s"
    assert asked == [70.0]


def test_a_server_that_says_nothing_or_drips_is_given_up_in_time(check):
    stopped = threading.Event()

    def drip(request):
        while not stopped.wait(0.05):
            request.wfile.write(b"x")
        return 200, {}, b""

    with serving(drip) as url:
        result = check("http", {"url": url}, seconds=0.5)
        stopped.set()
    assert (result.is_good, result.message) == (False, "no answer within 0.5 s")


def test_an_answer_without_end_is_not_read(check):
    def endless(request):
        request.send_response(200)
        request.end_headers()
        while True:
            request.wfile.write(b"x" * 65536)

    def answer(request):
        try:
            endless(request)
        except OSError:
            return 200, {}, b""

    with serving(answer) as url:
        result = check("http", {"url": url})
    assert result.message == f"{url} answers more than 1048576 bytes"


def test_a_compressed_answer_is_refused(check):
    with serving(always(200, b"x", **{"Content-Encoding": "gzip"})) as url:
        assert "compresses" in check("http", {"url": url}).message


def test_redirects_are_followed_on_the_same_host_only(check):
    asked = []

    def answer(request):
        asked.append((request.path, request.headers.get("Authorization")))
        places = {"/old": "/new", "/away": other, "/loop": "/loop"}
        place = places.get(request.path)
        return (302, {"Location": place}, b"") if place else (200, {}, b"")

    with serving(always(200)) as other, serving(answer) as url:
        assert check("http", {"url": f"{url}/old"}).is_good
        away = check("http", {"url": f"{url}/away"})
        loop = check("http", {"url": f"{url}/loop"})
        assert check("http", {"url": f"{url}/away", "status": 302}).is_good
    assert away.message == f"{url}/away redirects to {other}, which is not followed"
    assert loop.message.startswith("more than 3 redirects")
    assert [path for path, _ in asked[:2]] == ["/old", "/new"]


def test_nobody_listening_is_a_bad_result_that_names_the_place(check):
    with deaf_port() as port:
        result = check("http", {"url": f"http://127.0.0.1:{port}/health?full=1"})
    assert result.message.startswith(f"http://127.0.0.1:{port} does not answer: ")


def test_tls_trusts_the_given_authority_and_shows_the_given_certificate(check, authority, files):
    shutil.copy(authority.pem, files / "ca.pem")
    (files / "us").mkdir()
    for end in ("pem", "key"):
        shutil.copy(authority.folder / f"client.{end}", files / "us" / f"client.{end}")
    context = server_context(
        authority.folder / "server.pem", authority.folder / "server.key", authority.pem
    )
    with serving(always(200), context) as url:
        assert url.startswith("https:")
        trusting = {"url": url, "ca_file": "ca.pem"}
        pair = {"client_cert_file": "us/client.pem", "client_key_file": "us/client.key"}
        assert check("http", trusting | pair).is_good
        assert not check("http", trusting).is_good
        unknown = check("http", {"url": url} | pair)
        assert "CERTIFICATE_VERIFY_FAILED" in unknown.message or "verify" in unknown.message
        wrong_name = check("http", trusting | pair | {"url": url.replace("127.0.0.1", "[::1]")})
        assert not wrong_name.is_good


def test_a_token_comes_from_its_file_and_the_environment_gives_none(check, files, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    (files / "token").write_text("s3cret\n")
    seen = []

    def answer(request):
        seen.append(request.headers.get("Authorization"))
        return 200, {}, b""

    with serving(answer) as url:
        assert check("http", {"url": url, "bearer_token_file": "token"}).is_good
        assert check("http", {"url": url}).is_good
    assert seen == ["Bearer s3cret", None]


def test_only_files_of_the_directory_are_read(check, files, tmp_path):
    (tmp_path / "outside").write_text("root:x:0:0")
    (files / "link").symlink_to(tmp_path / "outside")
    (files / "folder").mkdir()
    (files / "large").write_bytes(b"x" * (1024 * 1024 + 1))
    (files / "binary").write_bytes(b"\xff\xfe")
    expected = {
        "link": "leads out of",
        "folder": "is no file of at most",
        "large": "is no file of at most",
        "missing": "cannot be read in",
        "binary": "cannot be read as text",
    }
    for name, words in expected.items():
        result = check("http", {"url": "http://127.0.0.1:1", "bearer_token_file": name})
        assert not result.is_good
        assert words in result.message, result.message


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({}, "url"),
        ({"url": "ftp://x"}, "url"),
        ({"url": "http://user:password@x/"}, "url"),
        ({"url": "http://x:99999/"}, "url"),
        ({"url": "http://x/ y"}, "url"),
        ({"url": 5}, "url"),
        ({"url": "http://x", "status": 42}, "status"),
        ({"url": "http://x", "status": True}, "status"),
        ({"url": "http://x", "status": []}, "status"),
        ({"url": "http://x", "json_pointer": "status"}, "json_pointer"),
        ({"url": "http://x", "json_pointer": "/a"}, "equals"),
        ({"url": "http://x", "equals": 1}, "json_pointer"),
        ({"url": "http://x", "json_pointer": "/a", "equals": float("nan")}, "equals"),
        ({"url": "http://x", "json_pointer": "/a", "equals": [1]}, "equals"),
        ({"url": "http://x", "regex": "("}, "regex"),
        ({"url": "http://x", "regex": "a", "json_pointer": "/a", "equals": 1}, "regex"),
        ({"url": "http://x", "ca_file": "/etc/shadow"}, "ca_file"),
        ({"url": "http://x", "ca_file": "a/../../b"}, "ca_file"),
        ({"url": "http://x", "client_cert_file": "a"}, "client_key_file"),
        ({"url": "http://x", "client_key_file": "a"}, "client_cert_file"),
        ({"url": "http://x", "headers": {}}, "headers"),
        ({"url": "http://x", "token": "abc"}, "token"),
    ],
)
def test_a_configuration_that_cannot_work_names_the_field(config, field):
    problems = check_config("http", config)
    assert list(problems) == [field]
    assert problems[field]


def test_a_secret_is_asked_for_as_a_file():
    problems = check_config("http", {"url": "http://x", "bearer_token": "abc"})
    assert problems["bearer_token"] == (
        "no secret is kept in the database: put it into a file and name it bearer_token_file"
    )
