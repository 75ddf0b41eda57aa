"""The resident agent's status on a local port: `/status` as JSON, `/metrics` for Prometheus."""

from __future__ import annotations

import http.server
import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from agent import VERSION
from agent.config import BadSetting, Config
from agent.files import read_text
from agent.report import Reported
from agent.run import Run
from agent.status import read_status

logger = logging.getLogger("enjoliver-agent")
DEFAULT_BIND = "127.0.0.1:9879"


@contextmanager
def status_page(run: Run, reported: Reported) -> Iterator[None]:
    """Serve the status for the time of the block.

    A port that is taken is said and no reason to stop; `ENJOLIVER_AGENT_STATUS_BIND=off` serves
    nothing. Raises BadSetting when the setting is no `address:port`.
    """
    bind = read_bind(run.config)
    server = _listen(run, reported, bind) if bind else None
    if server is None:
        yield
        return
    thread = threading.Thread(target=server.serve_forever, name="status", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def read_bind(config: Config) -> tuple[str, int] | None:
    """Address and port; None when nothing is to be served."""
    text = config.text("AGENT_STATUS_BIND", DEFAULT_BIND)
    if text == "off":
        return None
    address, _, port = text.rpartition(":")
    if not address or not port.isdigit() or not 0 <= int(port) < 65536:
        raise BadSetting(f"ENJOLIVER_AGENT_STATUS_BIND is {text[:60]!r}; address:port, or off")
    return address, int(port)


def _listen(
    run: Run, reported: Reported, bind: tuple[str, int]
) -> http.server.ThreadingHTTPServer | None:
    class Handler(http.server.BaseHTTPRequestHandler):
        timeout = 10
        server_version = f"enjoliver-agent/{VERSION}"
        sys_version = ""

        def do_GET(self) -> None:
            pages: dict[str, Callable[[], str]] = {
                "/status": lambda: json.dumps(read_status(run.config), indent=1) + "\n",
                "/metrics": lambda: metrics(run, reported),
                "/healthz": lambda: "ok\n",
            }
            page = pages.get(self.path)
            kind = "application/json" if self.path == "/status" else "text/plain; version=0.0.4"
            body = (page() if page else "not found\n").encode()
            self.send_response(200 if page else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            """Questions about the status are no news."""

    try:
        return http.server.ThreadingHTTPServer(bind, Handler)
    except OSError as error:
        logger.warning("the status is not served on %s:%s: %s", *bind, error)
        return None


def metrics(run: Run, reported: Reported) -> str:
    """The numbers of this agent in Prometheus' text format.

    https://prometheus.io/docs/instrumenting/exposition_formats/
    """
    status = read_status(run.config)
    update = status["update"].get("step", "")
    rows: list[tuple[str, str, float]] = [
        ("info", f'version="{VERSION}"', 1),
        ("healthy", "", float(status["healthy"])),
        ("up_to_date", "", -1 if reported.is_up_to_date is None else reported.is_up_to_date),
        ("last_report_timestamp_seconds", "", reported.at),
        ("reports_total", 'result="sent"', reported.sent),
        ("reports_total", 'result="failed"', reported.failed),
        ("slot_held", "", float(update not in ("", "asking"))),
        ("update_step", f'step="{_label(update)}"', 1),
        ("resident_memory_bytes", "", resident_bytes()),
    ]
    lines: list[str] = []
    for name, labels, value in rows:
        kind = "counter" if name.endswith("_total") else "gauge"
        head = f"# TYPE enjoliver_agent_{name} {kind}"
        if head not in lines:
            lines.append(head)
        within = f"{{{labels}}}" if labels else ""
        lines.append(f"enjoliver_agent_{name}{within} {float(value):.15g}")
    return "\n".join(lines) + "\n"


def _label(value: object) -> str:
    """The value of a label; a state file of another version may hold anything."""
    return "".join(char for char in str(value)[:40] if char.isalnum() or char in " -_")


def resident_bytes() -> float:
    """The memory of this process, by /proc/self/status (VmRSS); 0 when it is not to be had."""
    for line in read_text(Path("/proc/self/status")).splitlines():
        if line.startswith("VmRSS:"):
            return float(line.split()[1]) * 1024
    return 0.0
