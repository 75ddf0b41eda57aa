"""What the agent needs to be measured: an installed machine in a folder, an engine's answers."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

UUID = "1d8c6a44-0c1e-4b7e-8f52-6a3f0f6c0b01"
MAC = "52:54:be:00:00:01"
QUERY = f"uuid={UUID}&mac={MAC}&os=installed"
_BOOT = "5f0b1d2e-3a4b-4c5d-8e6f-708192a3b4c5"
CONFIG = json.dumps({"ignition": {"version": "3.4.0"}, "size": "60 kB " * 10_000}).encode()
_FILES = {
    "etc/enjoliver/role": "kubernetes-node\n",
    "etc/enjoliver/environment": f'ENJOLIVER_UUID="{UUID}"\nENJOLIVER_BOOT_MAC="{MAC}"\n'
    f'ENJOLIVER_RAW_QUERY="{QUERY}"\n',
    "etc/.ignition-result.json": json.dumps({"provisioningBootID": _BOOT}),
    "facts/boot_id": _BOOT,
}


def make_machine(folder: Path) -> None:
    """The files of a machine that runs CONFIG, as Ignition and firmware leave them."""
    for name, text in {**_FILES, "oem/config.ign": CONFIG.decode()}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@dataclass(slots=True)
class Answers:
    """An engine for which each machine is up to date; counts its reports."""

    url: str = ""
    reports: int = 0
    _news: threading.Condition = field(default_factory=threading.Condition)

    def report(self) -> None:
        """One more."""
        with self._news:
            self.reports += 1
            self._news.notify_all()

    def wait_for(self, reports: int, seconds: float) -> bool:
        """Until so many reports came; False when they did not within `seconds`."""
        with self._news:
            return self._news.wait_for(lambda: self.reports >= reports, seconds)


@contextmanager
def answering() -> Iterator[Answers]:
    """Listen on a free port of loopback for the time of the block."""
    answers = Answers()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(503, {"kind": "unavailable", "value": "not here"})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self._answer(200, {"message": "Up-to-date"})
            if self.path.startswith("/lifecycle/ignition/"):
                answers.report()

        def _answer(self, status: int, document: dict[str, str]) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            """Nobody reads it."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        answers.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield answers
        finally:
            server.shutdown()
            thread.join()
