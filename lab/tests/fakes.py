"""A driver without machines, an engine without processes, a network without links."""

from __future__ import annotations

import http.server
import json
import threading
from contextlib import contextmanager

from lab.drivers.base import Asset, DriverFailed, MachineState


class FakeDriver:
    """Remembers what was asked of it; `states` are the machines."""

    name = "fake"
    boots_at_once = 2

    def __init__(self, paths, topology, network):
        self.paths, self.topology = paths, topology
        self.states = {}
        self.asked = []
        self.lacking = []
        self.broken = set()
        self.on_power = lambda machine: None

    def missing(self):
        return self.lacking

    def prepare(self, say):
        say("Image: from the cache")
        return [Asset(self.paths.state_dir / "kernel", "fake/kernel")]

    def values(self, api_uri):
        return {"boot_kernel": "fake/kernel"}

    def define(self, machine):
        self._ask("define", machine)
        self.paths.machine_folder(machine.name)
        self.states.setdefault(machine.name, MachineState(is_defined=True, power="off"))

    def power_on(self, machine):
        self._ask("power_on", machine)
        self.states[machine.name] = MachineState(is_defined=True, power="on", phase="firmware")
        self.on_power(machine)

    def power_off(self, machine, *, is_hard=False):
        self._ask("plug" if is_hard else "power_off", machine)
        if machine.name in self.states:
            self.states[machine.name] = MachineState(is_defined=True, power="off")

    def reset(self, machine):
        self._ask("reset", machine)

    def state(self, machine):
        return self.states.get(machine.name, MachineState(is_defined=False, power="off"))

    def console(self, machine):
        return self.paths.console(machine.name)

    def enter(self, machine, command):
        return ["sh", "-c", f"echo {command[-1] if command else 'shell'}; exit 7"]

    def set_link(self, machine, *, is_up):
        self._ask("plug in" if is_up else "plug out", machine)

    def break_disks(self, machine, fault):
        self._ask(fault, machine)
        return f"{machine.name}: done to sda"

    def remove(self, machine):
        self._ask("remove", machine)
        self.states.pop(machine.name, None)

    def _ask(self, what, machine):
        self.asked.append(f"{what} {machine.name}")
        if f"{what} {machine.name}" in self.broken:
            raise DriverFailed(f"{what} of {machine.name} is broken")


class FakeNetwork:
    """Stands while `is_up`."""

    def __init__(self, paths, topology, *, api_uri="", say=None):
        self.namespace = f"enj-{topology.name}"
        self.is_up = False
        self.failure = None

    def up(self):
        if self.failure:
            raise self.failure
        self.is_up = True

    def down(self):
        self.is_up = False

    def problems(self):
        return [] if self.is_up else ["There is no namespace."]

    def detach(self, machine):
        pass

    def is_link_up(self, machine):
        return True


class FakeEngine:
    """Its views are served for real; `rows` are its machines, by MAC."""

    def __init__(self, url):
        self.url = url
        self.is_running = False
        self.applied = []

    def start(self):
        self.is_running = True

    def stop(self):
        self.is_running = False

    def kill(self):
        self.is_running = False

    def tail(self, lines=15):
        return "the engine's last words"

    def add_assets(self, assets):
        self.applied.append([asset.path for asset in assets])
        return {"agent_url": f"{self.url}/assets/agent"}

    def apply(self, values, control_plane):
        self.applied.append((dict(values), control_plane))
        return [f"control_plane_size: 3 → {control_plane}"]


class Rows(dict[str, object]):
    """Rows by MAC, to be changed; served as a list."""


@contextmanager
def views():
    """A server with the engine's views: gives its URL, and its documents by path."""
    served: dict[str, object] = {"/ui/view/machine": [], "/ui/view/states": []}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            path = self.path.partition("?")[0]
            document = served.get(path)
            rows = list(document.values()) if isinstance(document, Rows) else document
            body = b"text" if path == "/text" else json.dumps(rows).encode()
            self.send_response(200 if path in served else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", served
        finally:
            server.shutdown()
            thread.join()


def row(machine, state, *, roles="", up_to_date=None, reported=None):
    """A row of /ui/view/machine."""
    return {
        "MAC": machine.mac,
        "FQDN": machine.fqdn,
        "Roles": roles,
        "LastState": state,
        "LastReport": reported,
        "UpToDate": up_to_date,
    }
