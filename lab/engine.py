"""The lab's engine: the same `manage.py run` as anywhere, with a state directory of its own."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lab.drivers.base import Asset
from lab.errors import LabFailed
from lab.http import is_served
from lab.ledger import Ledger
from lab.network import ENGINE_PORT
from lab.paths import REPOSITORY, LabPaths
from lab.programs import end_marked, run, start
from lab.topology import Topology
from lab.wait import until

_START_SECONDS = 600.0
_STOP_SECONDS = 60.0
_COMMAND_SECONDS = 600.0
_PART = "engine"
_LINE = 120
SETTINGS = {
    # A lab is small and somebody waits for it: what is due is looked at more often.
    "ENJOLIVER_SYNC_INTERVAL_SECONDS": "5",
    "ENJOLIVER_SCHEDULE_INTERVAL_SECONDS": "2",
    "ENJOLIVER_WEB_WORKERS": "1",
}
"""What the lab sets beside addresses and folders; `engine:` of the topology goes over it."""


class OwnEngine:
    """An engine that the lab starts and stops, and whose operator it plays."""

    def __init__(self, paths: LabPaths, topology: Topology, ledger: Ledger) -> None:
        self._paths = paths
        self._topology = topology
        self._ledger = ledger

    @property
    def url(self) -> str:
        """Its address in the lab's network, for machines and for this computer alike."""
        return f"http://{self._topology.engine_address}:{self._ports()['engine']}"

    @property
    def log(self) -> Path:
        """What `manage.py run` said; the logs of its parts are in `logs/` beside it."""
        return self._paths.engine / "run.log"

    @property
    def is_running(self) -> bool:
        """Whether its main process lives."""
        return self._ledger.process(_PART) is not None

    def start(self) -> None:
        """Start it and wait until it is healthy; nothing when it is."""
        if not self.is_running:
            end_marked(self._paths.root, _PART)
            self._paths.engine.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._choose_ports()
            command = [sys.executable, str(REPOSITORY / "manage.py"), "run"]
            process = start(
                command,
                folder=self._paths.root,
                part=_PART,
                log=self.log,
                base=self.environment(),
            )
            self._ledger.put_process(_PART, process)
        until(
            self._is_healthy_or_ended,
            seconds=_START_SECONDS,
            what="The engine's health",
            every=0.5,
            last=lambda: f"see {self.url}/healthz, {self.log} and {self._paths.engine / 'logs'}",
        )
        if not self.is_running:
            raise LabFailed(f"The engine ended at its start; {self.log} ends with:\n{self.tail()}")

    def stop(self) -> None:
        """Stop it in order; what is left of it after a minute is killed."""
        process = self._ledger.process(_PART)
        if process is not None:
            process.stop(_STOP_SECONDS)
        end_marked(self._paths.root, _PART)
        self._ledger.put_process(_PART, None)

    def kill(self) -> None:
        """End it as a loss of power does."""
        end_marked(self._paths.root, _PART, 0.0)
        self._ledger.put_process(_PART, None)

    def tail(self, lines: int = 15) -> str:
        """The last lines of what it said."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def environment(self) -> dict[str, str]:
        """The whole environment of its processes; of the caller's own engine nothing is in it."""
        ours = ("ENJOLIVER_", "DATABASE_URL", "DJANGO_", "PROMETHEUS_", "CELERY_")
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(ours) and not key.lower().endswith("_proxy")
        }
        ports = self._ports()
        return {
            **kept,
            **SETTINGS,
            **self._topology.engine,
            "PYTHONUNBUFFERED": "1",
            "ENJOLIVER_STATE_DIR": str(self._paths.engine),
            "ENJOLIVER_BIND": f"{self._topology.engine_address}:{ports['engine']}",
            "ENJOLIVER_API_URI": f"http://{self._topology.engine_address}:{ports['engine']}",
            "ENJOLIVER_MATCHBOX_BIND": f"127.0.0.1:{ports['matchbox']}",
            "ENJOLIVER_NODE_NETWORKS": f"127.0.0.0/8,{self._topology.network}",
            "ENJOLIVER_SSH_KEYS": str(self._paths.ssh_public_key),
        }

    def manage(self, *words: str, text: str | None = None) -> str:
        """Run one of its commands, as an operator does on its computer; what it printed."""
        return run(
            [sys.executable, str(REPOSITORY / "manage.py"), *words],
            base=self.environment(),
            text=text,
            seconds=_COMMAND_SECONDS,
        )

    def add_assets(self, assets: Sequence[Asset]) -> dict[str, Any]:
        """Put files below /assets; the values that they ask for, such as the agent's."""
        values: dict[str, Any] = {}
        for asset in assets:
            about = asset.source.stat()
            seen = [str(asset.source), about.st_size, about.st_mtime_ns]
            known = self._ledger.read().get("assets", {})
            entry = known.get(asset.path, {})
            if entry.get("seen") != seen or not is_served(
                f"{self.url}/assets/{asset.path}", "HEAD"
            ):
                words = ["assets", "add", str(asset.source), "--path", asset.path]
                said = self.manage(*words, "--replace", "--json")
                entry = {"seen": seen, "values": json.loads(said)["values"]}
                self._ledger.put("assets", {**known, asset.path: entry})
            values |= entry["values"]
        return values

    def apply(self, values: Mapping[str, object], control_plane: int) -> list[str]:
        """Set cluster values and the control plane's size; a line for each that changed."""
        said = self.manage("cluster", "set", f"control_plane_size={control_plane}")
        said += self.manage("values", "apply", "-", text=json.dumps(dict(values)))
        return [_shortened(line) for line in said.splitlines() if "→" in line]

    def _is_healthy_or_ended(self) -> bool:
        return is_healthy(self.url) or not self.is_running

    def _ports(self) -> dict[str, int]:
        return {"engine": ENGINE_PORT, "matchbox": 8080, **self._ledger.read().get("ports", {})}

    def _choose_ports(self) -> None:
        """The same at each start where they are free: machines know the engine by its port."""
        ports = self._ports()
        if not _is_free(str(self._topology.engine_address), ports["engine"]):
            raise LabFailed(
                f"Port {ports['engine']} of {self._topology.engine_address} is taken on this "
                "computer, probably by an engine that listens on 0.0.0.0: stop that one, let it "
                "listen on another port, or use it with --engine URL."
            )
        if not _is_free("127.0.0.1", ports["matchbox"]):
            ports["matchbox"] = _free_port()
        self._ledger.put("ports", ports)


class OtherEngine:
    """An engine that somebody else runs (`--engine URL`): the lab only looks at it."""

    is_running = True

    def __init__(self, url: str, topology: Topology) -> None:
        self.url = url.rstrip("/")
        self._topology = topology

    def start(self) -> None:
        """Nothing is started; LabFailed when it is not there or not for this lab's machines."""
        address = str(self._topology.engine_address)
        if f"//{address}:" not in f"{self.url}:":
            raise LabFailed(
                f"--engine: machines of this lab reach {address} and nothing else. Let the engine "
                f"listen there with ENJOLIVER_API_URI=http://{address}:PORT, and name that URL."
            )
        if not is_healthy(self.url):
            raise LabFailed(f"--engine: {self.url}/healthz does not say that it is healthy.")

    def stop(self) -> None:
        """It goes on."""

    def kill(self) -> None:
        """Not the lab's to kill."""
        raise LabFailed("This engine was started by somebody else: stop it there.")

    def tail(self, lines: int = 15) -> str:
        """Its logs are where it runs."""
        return ""

    def add_assets(self, assets: Sequence[Asset]) -> dict[str, Any]:
        """Files that it does not serve are named with the command that adds them."""
        missing = [one for one in assets if not is_served(f"{self.url}/assets/{one.path}", "HEAD")]
        if missing:
            commands = [f"manage.py assets add {one.source} --path {one.path}" for one in missing]
            raise LabFailed("\n  ".join(["The engine lacks files; on its side run:", *commands]))
        return {}

    def apply(self, values: Mapping[str, object], control_plane: int) -> list[str]:
        """Only its operator can; says what is needed."""
        pairs = [f"{key}={value}" for key, value in values.items()]
        return [
            "This lab's machines need, of the engine's operator:",
            f"  manage.py cluster set control_plane_size={control_plane}",
            *([f"  manage.py values set {' '.join(pairs)}"] if pairs else []),
        ]


Engine = OwnEngine | OtherEngine


def _shortened(line: str) -> str:
    return line if len(line) <= _LINE else f"{line[: _LINE - 1]}…"


def is_healthy(url: str) -> bool:
    """Whether /healthz answers 200."""
    return is_served(f"{url}/healthz")


def _is_free(address: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
        return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
