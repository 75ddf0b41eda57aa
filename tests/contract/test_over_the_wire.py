"""What only a real server shows: chunks, framing, long lines, paths as they are, racing clients."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.contract.site import ETCD, NODE, PLANE, dashed, firmware_query, mac_of, query, report_of
from tests.e2e.engine import PATIENCE, running_engine, wait_until
from tests.e2e.places import environment_of, private_database

pytestmark = [pytest.mark.e2e, pytest.mark.matchbox]

OPERATOR = {"Authorization": "Basic " + base64.b64encode(b"admin:e2e-password").decode()}
AT_ONCE = 8
KEPT_SECONDS = 4
"""The engine keeps an idle connection for five: it may close one when we are held up for longer."""


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """An engine whose scheduler waits for a control plane that never comes."""
    with private_database() as database:
        environment = environment_of(tmp_path_factory.mktemp("wire"), database)
        with running_engine(environment) as engine:
            engine.set_control_plane(9)  # more machines than there will be
            for number in range(1, 5):
                engine.ask("POST", "/discovery", report_of(number))
            yield engine


@pytest.fixture
def wire(engine):
    """A connection to the engine that stays open over requests."""
    host = engine.url.removeprefix("http://")
    wire = Wire(http.client.HTTPConnection(host, timeout=PATIENCE))
    yield wire
    wire.connection.close()


class Wire:
    """One kept connection: an answer with wrong framing spoils the next one."""

    def __init__(self, connection):
        self.connection = connection
        self._open()

    def _open(self):
        self.connection.close()
        self.connection.connect()
        self.socket = self.connection.sock
        self.used_at = time.monotonic()

    def ask(self, method, path, body=None, *, chunked=False, **headers):
        """(status, headers, body)."""
        try:
            found = self._exchange(method, path, body, chunked, headers)
        except ConnectionError:
            if time.monotonic() < self.used_at + KEPT_SECONDS:
                raise
            self._open()
            found = self._exchange(method, path, body, chunked, headers)
        self.used_at = time.monotonic()
        return found

    def _exchange(self, method, path, body, chunked, headers):
        if isinstance(body, dict | list):
            body = json.dumps(body).encode()
        if chunked:
            body = iter([body[:5], body[5:]])
        self.connection.request(method, path, body, headers, encode_chunked=chunked)
        answer = self.connection.getresponse()
        return answer.status, answer.headers, answer.read()

    @property
    def is_kept(self):
        return self.connection.sock is self.socket


# --- bodies ----------------------------------------------------------------------------------
def test_a_body_in_chunks_is_read_like_any_other(wire):
    chunks = {"chunked": True, "Transfer-Encoding": "chunked"}
    assert wire.ask("POST", "/discovery", report_of(40), **chunks)[0] == 200
    rolling = f"/lifecycle/rolling/{query(40)}"
    status, _, body = wire.ask("POST", rolling, {"strategy": "reboot"}, **chunks, **OPERATOR)
    assert (status, json.loads(body)["strategy"]) == (200, "reboot")
    assert wire.ask("POST", rolling, b"no JSON", **chunks, **OPERATOR)[0] == 406
    assert wire.is_kept


@pytest.mark.parametrize(
    ("framing", "sent", "kind"),
    [
        ("Transfer-Encoding: chunked", b"zz\r\n{}\r\n0\r\n\r\n", "bad_chunks"),
        ("Transfer-Encoding: chunked", b"2\r\n{}}}\r\n0\r\n\r\n", "bad_chunks"),
        ("Transfer-Encoding: chunked", b"9\r\n{}", "body_incomplete"),
        ("Content-Length: 22", b"", "body_incomplete"),
        ("Content-Length: 22", b"{}", "body_incomplete"),
    ],
)
def test_a_body_with_wrong_framing_changes_nothing(engine, framing, sent, kind):
    path = f"/lifecycle/rolling/{query(4)}"
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", framing]
    lines.append(f"Authorization: {OPERATOR['Authorization']}")
    status, document = send_and_hang_up(engine, "\r\n".join([*lines, "", ""]).encode() + sent)
    assert (status, document["kind"]) == (400, kind)
    assert engine.ask("GET", path)[0] == 401


def send_and_hang_up(engine, request):
    """(status, document) that the engine answers to these bytes when nothing follows them."""
    host, _, port = engine.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as client:
        client.sendall(request)
        client.shutdown(socket.SHUT_WR)
        answer = http.client.HTTPResponse(client)
        answer.begin()
        return answer.status, json.loads(answer.read())


def test_refusals_leave_the_connection_in_order(wire):
    body = b"x" * 50_000
    for method, path, status in (
        ("PUT", "/discovery", 405),
        ("POST", "/scheduler", 401),
        ("POST", "/nope", 404),
        ("POST", "/discovery?x=%00", 400),
        ("POST", "/discovery", 406),
        ("POST", "/lifecycle/coreos-install/done/x", 403),
    ):
        assert wire.ask(method, path, body)[0] == status
        assert wire.ask("GET", "/livez")[0] == 200
    assert wire.is_kept


def test_head_has_the_length_and_no_body(wire):
    paths = ["/", "/boot.ipxe", "/discovery", "/nope", "/sync-notify", "/assets", "/metrics"]
    for path in [*paths, f"/ignition?{firmware_query(1)}", "/ipxe", "/metadata", "/ui"]:
        status, headers, body = wire.ask("HEAD", path)
        assert body == b""
        assert int(headers["Content-Length"]) >= 0
        assert status == wire.ask("GET", path)[0]
    assert wire.is_kept


def test_a_sender_that_breaks_off_is_no_failure_of_the_engine(engine):
    host, _, port = engine.url.removeprefix("http://").partition(":")
    for _ in range(20):
        with socket.create_connection((host, int(port))) as client:
            client.sendall(b"POST /discovery HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n{")
    assert engine.ask("GET", "/livez")[0] == 200
    assert "Internal Server Error" not in (engine.state_dir / "logs" / "web.log").read_text()


# --- paths -----------------------------------------------------------------------------------
def test_a_long_query_is_the_engines_to_refuse(wire):
    encoded = "".join(f"%{byte:02X}" for byte in query(1).encode())
    status, _, body = wire.ask("GET", f"/lifecycle/rolling/{encoded}")
    assert (status, json.loads(body)["request_raw_query"]) == (401, query(1))
    for length in (2100, 2500):
        asked = f"mac={dashed(1)}&x=" + "%41" * length
        status, headers, body = wire.ask("GET", f"/install-authorization/{asked}")
        assert (status, headers["Content-Type"]) == (400, "application/json")
        assert "longer than" in json.loads(body)["value"]


@pytest.mark.parametrize(
    "path",
    ["../secret-key", "%2e%2e/secret-key", "..%2f..%2fsecret-key", "//etc/passwd", "../metadata"],
)
def test_a_path_as_it_is_never_leaves_the_assets(wire, path):
    status, _, body = wire.ask("GET", f"/assets/{path}")
    assert status == 404
    assert json.loads(body)["kind"] == "not_found"


def test_a_download_that_broke_off_goes_on_or_begins_anew(engine, wire):
    file = engine.matchbox_dir / "assets" / "big.bin"
    content = bytes(range(256)) * 20_000
    file.write_bytes(content)
    status, headers, body = wire.ask("GET", "/assets/big.bin")
    assert (status, body) == (200, content)
    half = len(content) // 2
    asked = {"Range": f"bytes={half}-", "If-Range": headers["ETag"]}
    status, _, body = wire.ask("GET", "/assets/big.bin", **asked)
    assert (status, body) == (206, content[half:])
    file.write_bytes(b"another file")
    status, headers, body = wire.ask("GET", "/assets/big.bin", **asked)
    assert (status, body) == (200, b"another file")
    assert "Content-Range" not in headers
    assert wire.is_kept


# --- many at once ------------------------------------------------------------------------------
def at_once(engine, method, path, bodies: Sequence[object], **options):
    """The answers to requests that are sent at the same moment."""
    host = engine.url.removeprefix("http://")

    def ask(body):
        connection = http.client.HTTPConnection(host, timeout=PATIENCE)
        data = body if body is None else json.dumps(body)
        connection.request(method, path, data, headers=options)
        answer = connection.getresponse()
        found = answer.status, answer.headers, answer.read()
        connection.close()
        return found

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(ask, bodies))


def same(body=None):
    return [body] * AT_ONCE


def test_one_report_sent_by_eight_is_one_machine(engine):
    answers = at_once(engine, "POST", "/discovery", same(report_of(50)))
    assert {status for status, _, _ in answers} == {200}
    new = Counter(json.loads(body)["new-discovery"] for _, _, body in answers)
    assert new == {True: 1, False: AT_ONCE - 1}
    listed = [row["boot-info"]["mac"] for row in engine.read("/discovery")]
    assert listed.count(mac_of(50)) == 1


def test_one_schedule_sent_by_eight_is_one_assignment(engine):
    document = {"roles": [ETCD, PLANE], "selector": {"mac": mac_of(1)}}
    answers = at_once(engine, "POST", "/scheduler", same(document), **OPERATOR)
    assert {status for status, _, _ in answers} == {200}
    assert engine.read(f"/scheduler?mac={mac_of(1)}") == {mac_of(1): [ETCD, PLANE]}


def test_schedules_that_contradict_each_other_make_one_role(engine):
    either = [{"roles": [role], "selector": {"mac": mac_of(2)}} for role in (NODE, ETCD)]
    answers = at_once(engine, "POST", "/scheduler", either * (AT_ONCE // 2), **OPERATOR)
    statuses = Counter(status for status, _, _ in answers)
    assert statuses == {200: AT_ONCE // 2, 409: AT_ONCE // 2}
    assert engine.read(f"/scheduler?mac={mac_of(2)}")[mac_of(2)] in ([NODE], [ETCD])


def test_one_machine_that_asks_eight_times_has_one_place_and_others_none(engine):
    answers = at_once(engine, "GET", f"/install-authorization/{query(3)}", same())
    assert {(status, body) for status, _, body in answers} == {(200, b"Granted")}
    assert len({headers["X-Enjoliver-Attempt"] for _, headers, _ in answers}) == 1
    denied = at_once(engine, "GET", f"/install-authorization/{query(4)}", same())
    assert {(status, headers["X-Enjoliver-Queue-Position"]) for status, headers, _ in denied} == {
        (403, "1")
    }
    reports = at_once(engine, "POST", f"/lifecycle/coreos-install/success/{query(3)}", same())
    assert {status for status, _, _ in reports} == {200}
    assert engine.ask("GET", f"/install-authorization/{query(4)}") == (200, b"Granted")


def test_of_eight_clients_one_gets_the_slot(engine):
    bodies = [{"client_params": {"id": f"c{n}", "group": "default"}} for n in range(AT_ONCE)]
    locks = at_once(engine, "POST", "/v1/pre-reboot", bodies, **{"fleet-lock-protocol": "true"})
    assert Counter(status for status, _, _ in locks) == {200: 1, 409: AT_ONCE - 1}
    frees = at_once(engine, "POST", "/v1/steady-state", bodies, **{"fleet-lock-protocol": "true"})
    assert {status for status, _, _ in frees} == {200}


def test_the_worker_lived_through_all_this(engine):
    log = (engine.state_dir / "logs" / "worker.log").read_text()
    assert "CRITICAL" not in log
    wait_until(engine.is_healthy, PATIENCE, engine.story)  # its probes have short patience
