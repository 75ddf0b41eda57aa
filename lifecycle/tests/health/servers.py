"""Servers that the checks are tried on: etcd and Prometheus themselves, and HTTP servers."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from enjoliver.common.polling import wait_until
from tools.ports import free_port


@contextmanager
def deaf_port() -> Iterator[int]:
    """A port of the loopback that refuses connections: it is taken, and nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def program(name: str) -> str:
    """Its path; set-up installs it."""
    path = shutil.which(name)
    assert path, f"{name} is missing: run `python3 -m tools.set_up test`"
    return path


def answers(url: str) -> bool:
    """Whether a plain GET gets a 200."""
    with suppress(OSError, HTTPException), urllib.request.urlopen(url, timeout=10) as said:
        return bool(said.status == 200)
    return False


def post(url: str, document: object) -> dict[str, Any]:
    """The JSON answer to a JSON document."""
    request = urllib.request.Request(url, json.dumps(document).encode())
    with urllib.request.urlopen(request, timeout=60) as said:
        answer: dict[str, Any] = json.load(said)
        return answer


class Process:
    """One server; its output lies in a file."""

    def __init__(self, arguments: list[str], log: Path) -> None:
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    def kill(self) -> None:
        """At once, as a power failure does."""
        self._process.kill()
        self._process.wait(timeout=60)


class Etcd:
    """An etcd cluster on loopback."""

    def __init__(self, folder: Path, size: int = 3, tls: list[str] | None = None) -> None:
        self.folder, self.tls = folder, tls or []
        ports = [free_port() for _ in range(2 * size)]
        scheme = "https" if tls else "http"
        self.endpoints = [f"{scheme}://127.0.0.1:{port}" for port in ports[:size]]
        self.peers = [f"http://127.0.0.1:{port}" for port in ports[size:]]
        self._running: dict[int, Process] = {}
        for number in range(size):
            self.start(number)

    def start(self, number: int) -> None:
        """Start a member, with what it kept."""
        cluster = ",".join(f"m{n}={peer}" for n, peer in enumerate(self.peers))
        client, peer = self.endpoints[number], self.peers[number]
        arguments = [
            program("etcd"),
            *("--name", f"m{number}", "--data-dir", str(self.folder / f"m{number}")),
            *("--listen-client-urls", client, "--advertise-client-urls", client),
            *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
            *("--initial-cluster", cluster, "--initial-cluster-state", "new"),
            *("--heartbeat-interval", "50", "--election-timeout", "500"),
            *self.tls,
        ]
        self._running[number] = Process(arguments, self.folder / f"m{number}.log")

    def kill(self, number: int) -> None:
        """Stop a member at once."""
        self._running.pop(number).kill()

    def stop(self) -> None:
        """Stop all of them."""
        for number in list(self._running):
            self.kill(number)


@contextmanager
def running_prometheus(folder: Path) -> Iterator[str]:
    """The URL of a Prometheus that scrapes itself."""
    port = free_port()
    address = f"127.0.0.1:{port}"
    config = folder / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s}\n"
        "scrape_configs:\n"
        "- job_name: itself\n"
        f"  static_configs: [{{targets: ['{address}']}}]\n"
        "- job_name: away\n"
        "  static_configs: [{targets: ['127.0.0.1:1']}]\n"
    )
    process = Process(
        [
            program("prometheus"),
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={address}",
        ],
        folder / "prometheus.log",
    )
    try:
        wait_until(
            lambda: _has_both_jobs(f"http://{address}"), seconds=120, what="Prometheus scrapes"
        )
        yield f"http://{address}"
    finally:
        process.kill()


def _has_both_jobs(url: str) -> bool:
    if not answers(f"{url}/-/ready"):
        return False
    query = f"{url}/api/v1/query?query=up"
    with suppress(OSError, HTTPException), urllib.request.urlopen(query, timeout=10) as said:
        return len(json.load(said)["data"]["result"]) == 2
    return False


Answer = Callable[[BaseHTTPRequestHandler], tuple[int, dict[str, str], bytes]]


@contextmanager
def serving(answer: Answer, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """The URL of an HTTP server that answers GET and POST with what `answer` gives."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = answer(self)
            with suppress(OSError):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *arguments: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *arguments: object) -> None:
            pass  # a client without a certificate, or one that left

    server = Server(("127.0.0.1", 0), Handler)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        scheme = "https" if context else "http"
        yield f"{scheme}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=60)


def server_context(pem: Path, key: Path, clients: Path | None = None) -> ssl.SSLContext:
    """TLS of a server; with `clients` (a CA) it asks who connects for a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)
    if clients:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients)
    return context
