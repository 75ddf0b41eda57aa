"""A network of its own for one test run: namespaces for servers, engine and machine.

The names of namespaces carry the process id, so that runs beside each other do not meet. There is
no way out of it, and no link to the computer.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ENGINE = "10.78.0.1"
SERVER = "10.78.0.2"
PREFIX = 24
REPOSITORY = Path(__file__).resolve().parents[2]
# Kea and dnsmasq keep state in folders that packages or systemd make; here they are theirs alone.
_OWN_FOLDERS = (
    "mount -t tmpfs none /run && mount -t tmpfs none /var/lib && "
    "mkdir -p /run/kea /var/lib/kea /var/lib/misc && exec "
)


@dataclass(frozen=True, slots=True)
class Network:
    """Three namespaces on one wire, each with eth0; that of `servers` is the wire's bridge."""

    servers: str
    engine: str
    machine: str

    def command(self, namespace: str, *command: str) -> list[str]:
        """The command line that runs `command` in a namespace."""
        return ["ip", "netns", "exec", namespace, *command]

    def server_command(self, *command: str) -> list[str]:
        """The same for a server with state: on folders of its own."""
        return self.command(self.servers, "sh", "-c", _OWN_FOLDERS + shlex.join(command))

    def run(
        self, namespace: str, *command: str, seconds: float = 240
    ) -> subprocess.CompletedProcess[str]:
        """Run a program there to its end, in the repository."""
        return subprocess.run(
            self.command(namespace, *command),
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            cwd=REPOSITORY,
        )

    def add_tap(self, name: str) -> None:
        """A port of the bridge for a virtual machine."""
        _lines(self.servers, f"tuntap add {name} mode tap", f"link set {name} master eth0 up")


@contextmanager
def own_network() -> Iterator[Network]:
    """Make the network, and remove it at the end."""
    network = Network(*(f"enj-bm-{os.getpid()}{letter}" for letter in "sem"))
    servers = network.servers
    made: list[str] = []
    try:
        for namespace in (servers, network.engine, network.machine):
            _ip(["netns", "add", namespace])
            made.append(namespace)
            _lines(namespace, "link set lo up")
        _lines(servers, "link add eth0 type bridge", f"addr add {SERVER}/{PREFIX} dev eth0")
        _lines(servers, "link set eth0 up")
        for port, namespace in (("engine", network.engine), ("machine", network.machine)):
            _lines(servers, f"link add {port} type veth peer name eth0 netns {namespace}")
            _lines(servers, f"link set {port} master eth0 up")
            _lines(namespace, "link set eth0 up")
        _lines(network.engine, f"addr add {ENGINE}/{PREFIX} dev eth0")
        yield network
    finally:
        for namespace in made:
            _ip(["netns", "delete", namespace])


def _lines(namespace: str, *lines: str) -> None:
    for line in lines:
        _ip(["-n", namespace, *line.split()])


def _ip(arguments: Sequence[str]) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
