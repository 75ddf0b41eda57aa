"""The load generator against a small server that misbehaves on demand."""

import http.server
import threading
from typing import ClassVar

import pytest

from bench.answers import parse_answer
from bench.load import get, post, send


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[str]] = []

    def do_GET(self):
        type(self).seen.append(self.path)
        body = b"x" * 100_000 if self.path == "/large" else self.path.encode()
        if self.path == "/chunked":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"3\r\nabc\r\n2;note=1\r\nde\r\n0\r\n\r\n")
            return
        self.send_response(404 if self.path == "/missing" else 200)
        self.send_header("Content-Length", str(len(body)))
        if self.path == "/close":
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    Handler.seen = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running.server_address[1]
        running.shutdown()
        thread.join()


def anything(key, status, body):
    return True


def test_every_request_is_sent_once_whatever_the_number_of_connections(server):
    load = send(server, [get(f"/{number}") for number in range(50)], connections=7, check=anything)
    assert load.count == 50
    assert sorted(Handler.seen) == sorted(f"/{number}" for number in range(50))
    assert load.rate > 0
    assert load.latency(0.5) <= load.latency(0.99)


def test_more_connections_than_requests_do_no_harm(server):
    assert send(server, [get("/1")], connections=5, check=anything).count == 1
    assert send(server, [], connections=2, check=anything).count == 0


def test_answers_are_checked_with_the_key_of_their_request(server):
    requests = [post("/", b"one", key=1), post("/", b"two", key=2), get("/missing", key=3)]
    wanted = {1: b"one", 2: b"not two", 3: b"/missing"}
    load = send(
        server,
        requests,
        connections=2,
        check=lambda key, status, body: status == 200 and body == wanted[key],
    )
    assert load.refused == 2
    assert load.statuses == {200: 2, 404: 1}


def test_large_and_chunked_answers_are_read_whole(server):
    bodies = []

    def keep(key, status, body):
        bodies.append(body)
        return True

    send(server, [get("/large"), get("/chunked")], connections=1, check=keep)
    assert [len(bodies[0]), bodies[1]] == [100_000, b"abcde"]


def test_a_closed_connection_is_opened_again(server):
    load = send(server, [get("/close") for _ in range(5)], connections=1, check=anything)
    assert (load.count, load.refused) == (5, 0)


def test_it_ends_when_the_time_is_over(server):
    endless = iter(lambda: get("/1"), None)
    load = send(server, endless, connections=2, check=anything, seconds=0.05)
    assert load.count > 0


def test_each_connection_is_used_however_short_the_time_is(server):
    endless = iter(lambda: get("/1"), None)
    assert send(server, endless, connections=2, check=anything, seconds=0).count == 2


def test_a_server_that_is_away_is_an_error():
    with pytest.raises(OSError):
        send(1, [get("/")], connections=1, check=anything)


@pytest.mark.parametrize(
    "received",
    [b"", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc"],
)
def test_an_answer_that_is_not_complete_is_none(received):
    assert parse_answer(bytearray(received)) is None


def test_an_answer_without_length_is_refused_unless_it_has_no_body():
    assert parse_answer(bytearray(b"HTTP/1.1 304 Not Modified\r\n\r\n")) == (304, b"", True)
    with pytest.raises(ValueError, match="length"):
        parse_answer(bytearray(b"HTTP/1.1 200 OK\r\n\r\n"))
