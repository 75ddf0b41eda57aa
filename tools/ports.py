"""Ports of loopback for servers that are started later, or again and again."""

from __future__ import annotations

import socket


def hold_port() -> socket.socket:
    """A free TCP port of loopback, ours until the socket is closed; `port_of` says which.

    It is bound and never listened on: a server, which shares addresses (SO_REUSEADDR), can take it,
    and the kernel gives it to nobody else who asks for any port.
    """
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    return holder


def free_port() -> int:
    """A free TCP port of loopback, held until this process ends, also over restarts of a server."""
    holder = hold_port()
    port = port_of(holder)
    holder.detach()
    return port


def port_of(holder: socket.socket) -> int:
    """The number of a held port."""
    port: int = holder.getsockname()[1]
    return port
