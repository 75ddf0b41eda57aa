"""The engine's WSGI application called as a server calls it, with any bytes in any place."""

from __future__ import annotations

import io
import sys
import traceback
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.core.signals import got_request_exception, request_finished, request_started
from django.db import close_old_connections

from enjoliver.wsgi import application


@dataclass
class Answer:
    """What came back; `failure` is the traceback of an unhandled exception, "" without one."""

    status: int
    headers: dict[str, str]
    body: bytes
    failure: str = ""

    def header(self, name):
        return self.headers.get(name.lower())


@dataclass
class Call:
    """One request. Paths and queries are bytes as they stand on the wire after decoding of %XX."""

    method: str = "GET"
    path: bytes = b"/"
    query: bytes = b""
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    address: str = "127.0.0.1"

    def environ(self):
        return {
            "REQUEST_METHOD": self.method,
            "PATH_INFO": self.path.decode("latin-1"),
            "QUERY_STRING": self.query.decode("latin-1"),
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "5000",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": self.address,
            "CONTENT_LENGTH": str(len(self.body)),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(self.body),
            "wsgi.errors": sys.stderr,
            "wsgi.version": (1, 0),
            "wsgi.multithread": True,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
            "HTTP_HOST": "localhost",
            **self.headers,
        }


@contextmanager
def connections_kept():
    """Requests do not look after old connections: it would end the test's own transaction."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    try:
        yield
    finally:
        for signal in (request_started, request_finished):
            signal.connect(close_old_connections)


def send(call: Call) -> Answer:
    """Call the application once and read its whole answer."""
    failures, started = [], []

    def note(sender, request=None, **kwargs):
        failures.append(traceback.format_exc())

    def start_response(status, headers, exc_info=None):
        started.append((status, headers))

    got_request_exception.connect(note, weak=False)
    try:
        with connections_kept():
            parts = application(call.environ(), start_response)
            try:
                body = b"".join(parts)
            finally:
                parts.close()
    finally:
        got_request_exception.disconnect(note)
    ((status, headers),) = started
    lowered = {name.lower(): value for name, value in headers}
    return Answer(int(status.split()[0]), lowered, body, "\n".join(failures))


def get(path: str, **headers: str) -> Answer:
    """GET without a query."""
    return send(Call(path=path.encode(), headers=headers))
