"""Somebody who sees machines from outside only: who answers at all."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from lab.topology import LabMachine


class Outside(threading.Thread):
    """Knocks at every machine's SSH port, to see how many are down at once."""

    def __init__(self, machines: tuple[LabMachine, ...]) -> None:
        super().__init__(daemon=True)
        self._addresses = {machine.name: str(machine.address.ip) for machine in machines}
        self._is_over = threading.Event()
        self.seen: set[frozenset[str]] = set()

    def run(self) -> None:
        while not self._is_over.wait(0.1):
            down = {name for name, at in self._addresses.items() if not _answers(at, 0.5)}
            # Asked in turn, so only what was down twice in a row was down at one time. The second
            # time long enough for a packet that was lost to be sent again.
            still = {name for name in down if not _answers(self._addresses[name], 1.5)}
            self.seen.add(frozenset(still))

    def stop(self) -> None:
        self._is_over.set()
        self.join(120)

    @property
    def most(self) -> int:
        """How many were down at once, at most."""
        return max((len(down) for down in self.seen), default=0)

    @property
    def ever_down(self) -> set[str]:
        """Who was down at any time."""
        return {name for down in self.seen for name in down}


@contextmanager
def watched(machines: tuple[LabMachine, ...]) -> Iterator[Outside]:
    """Somebody who looks as long as this lasts."""
    outside = Outside(machines)
    outside.start()
    try:
        yield outside
    finally:
        outside.stop()


def _answers(address: str, seconds: float) -> bool:
    try:
        with socket.create_connection((address, 22), timeout=seconds):
            return True
    except OSError:
        return False
