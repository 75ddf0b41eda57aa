"""Ports for servers that tests start: nobody else takes one before the server listens there."""

from __future__ import annotations

import random
import socket
from pathlib import Path

_OWN_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def reserved_ports(count: int) -> list[int]:
    """Ports of the loopback, ours until this process ends.

    A port that the kernel found free would be free only until it gives it to the next one who asks:
    a server that starts slowly, or again after a while, would find it taken. These are outside of
    the kernel's own range, and other runs of tests see that they are reserved.
    """
    # Seeds of tests must not make two runs try the same ports in the same order.
    order = random.SystemRandom().sample(_range(), len(_range()))
    found: list[int] = []
    for port in order:
        if len(found) == count:
            break
        if _is_reserved_now(port):
            found.append(port)
    assert len(found) == count, "no port is free"
    return found


def _range() -> range:
    """Ports that no program gets by chance."""
    first = int(_OWN_RANGE.read_text().split()[0]) if _OWN_RANGE.exists() else 32_768
    return range(first - 10_000, first) if first > 12_000 else range(12_000, 60_000)


def _is_reserved_now(port: int) -> bool:
    """Reserve it by a name that lasts as long as this process, if nobody uses it."""
    name = socket.socket(socket.AF_UNIX)
    try:
        name.bind(f"\0enjoliver-test-port-{port}")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
    except OSError:
        name.close()
        return False
    name.detach()  # stays open
    return True
