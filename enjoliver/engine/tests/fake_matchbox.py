"""A small HTTP server that answers like matchbox, for tests of what asks it."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tools.ports import free_port

IGNITION = '{"ignition": {"version": "3.3.0"}}'
SCRIPT = "#!ipxe\nkernel http://x/vmlinuz\nboot\n"
GOOD = {"/": "matchbox\n", "/ipxe": SCRIPT, "/ignition": IGNITION, "/metadata": "API_URI=x\n"}


class FakeMatchbox(ThreadingHTTPServer):
    """`answers`: path → body, other paths get 404; `asked` counts requests by path."""

    daemon_threads = True

    def __init__(self, answers):
        self.answers = answers
        self.asked: Counter[str] = Counter()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: FakeMatchbox

    def do_GET(self):
        path = self.path.partition("?")[0]
        self.server.asked[path] += 1
        body = self.server.answers.get(path)
        self.send_response(404 if body is None else 200)
        body = (body or "404 page not found\n").encode()
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """Tests read no log of it."""


@contextmanager
def fake_matchbox(answers=None):
    """A running FakeMatchbox."""
    server = FakeMatchbox(GOOD if answers is None else answers)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def refused_url():
    """A URL where nothing listens: the port is kept, so that nobody else is given it."""
    return f"http://127.0.0.1:{free_port()}"
