"""Answers that lie, drip, never end or come from somebody else."""

import http.server
import socket
import threading
from contextlib import contextmanager, suppress

import pytest

from agent.client import Answer, Client, Unreachable, is_web_page

_PATIENCE = 20
"""Seconds after which a server of these tests gives up by itself."""


@contextmanager
def raw_server(speak):
    """A server that reads a request and then does what `speak(connection, over)` says."""
    over = threading.Event()

    def serve():
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            with suppress(OSError):  # the client has hung up
                speak(connection, over)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            over.set()
            thread.join()


def dripping(before, drop=b"x"):
    """Says `before`, then a drop at a time: each comes in time, the whole never ends."""

    def speak(connection, over):
        connection.sendall(before)
        for _ in range(_PATIENCE * 20):
            if over.wait(0.05):
                return
            connection.sendall(drop)

    return speak


@pytest.mark.parametrize(
    "speak",
    [
        dripping(b""),
        dripping(b"HTTP/1.1 200 OK\r\n"),
        dripping(b"HTTP/1.1 200 OK\r\nX-Long: "),
        dripping(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
        dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"),
        dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["status", "headers", "one header", "size of a chunk", "body", "continue"],
)
def test_no_part_of_an_answer_may_drip_beyond_the_deadline(speak):
    """The server would go on for many times the deadline."""
    with raw_server(speak) as url, pytest.raises(Unreachable, match=r"too long|timed out"):
        Client(0.4).get(url)


@pytest.mark.parametrize("status", [200, 403, 409, 502])
def test_a_web_page_is_no_answer_of_the_engine(status):
    """A portal or a proxy speaks in its place: a 200 is no grant, a 409 proves nothing."""
    page = b"\n<!DOCTYPE html><title>Log in</title>"
    with page_server(page, status) as url, pytest.raises(Unreachable, match="a web page"):
        Client(60).get(url)


@contextmanager
def page_server(body, status):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{found.server_port}/"
        finally:
            found.shutdown()
            thread.join()


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"Granted", b"#!ipxe\n", b"A=<b>\n", b'{"value": "<html>"}']
)
def test_what_the_engine_says_is_no_web_page(body):
    assert not is_web_page(body)


def test_a_chunked_answer_and_one_of_unknown_length_are_read_whole():
    chunked = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )
    for said, body in ((chunked, b"abcde"), (b"HTTP/1.0 200 OK\r\n\r\nabc", b"abc")):
        with raw_server(lambda connection, over, said=said: connection.sendall(said)) as url:
            assert Client(60).get(url).body == body


def test_a_chunked_answer_that_ends_early_is_none():
    said = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc"
    server = raw_server(lambda connection, over: connection.sendall(said))
    with server as url, pytest.raises(Unreachable):
        Client(60).get(url)


def test_what_an_answer_says_is_one_plain_line():
    """It goes to a terminal by `status`, and to the engine: no escapes, no halves of characters."""
    said = Answer(403, b'{"value": "not\\u001b[31m now,\\n \\ud800 wait"}', {}).sentence()
    assert said.startswith("403 not")
    assert said.isprintable()
    assert said.encode()
