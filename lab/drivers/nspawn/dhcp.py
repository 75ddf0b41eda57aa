"""DHCP as the machine's firmware speaks it (RFC 2131, 2132, 3004): an address and a boot script."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Interface

_COOKIE = b"\x63\x82\x53\x63"
_HEADER = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s4s")
_BROADCAST = 0x8000
_DISCOVER, _OFFER, _REQUEST, _ACK = 1, 2, 3, 5
_PAUSE = 1.0


class NoLease(Exception):
    """Nobody gave an address; the text says what was heard."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said: kind of message, address, itself, and the script to boot."""

    kind: int
    transaction: int
    address: IPv4Interface
    server: IPv4Address
    boot_url: str


def message(kind: int, mac: str, transaction: int, options: dict[int, bytes]) -> bytes:
    """A request of a client without address; the answer is asked for as a broadcast.

    Option 77 says that it is iPXE (https://ipxe.org/howto/dhcpd).
    """
    hardware = bytes.fromhex(mac.replace(":", "")).ljust(16, b"\0")
    nothing = b"\0" * 4
    head = _HEADER.pack(
        *(1, 1, 6, 0, transaction, 0, _BROADCAST),
        *(nothing, nothing, nothing, nothing, hardware, b"", b"", _COOKIE),
    )
    told = {53: bytes([kind]), 55: bytes([1, 3, 6, 15, 54, 66, 67]), 77: b"iPXE", **options}
    body = b"".join(bytes([code, len(value)]) + value for code, value in told.items())
    return (head + body + b"\xff").ljust(300, b"\0")


def parse(data: bytes) -> Answer | None:
    """A server's answer; None for anything else."""
    if len(data) < _HEADER.size or data[_HEADER.size - 4 : _HEADER.size] != _COOKIE:
        return None
    fields = _HEADER.unpack(data[: _HEADER.size])
    options = dict(_options(data[_HEADER.size :]))
    try:
        mask = IPv4Address(options[1])
        address = IPv4Interface(f"{IPv4Address(fields[8])}/{mask}")
        kind, server = options[53][0], IPv4Address(options[54])
    except (KeyError, IndexError, AddressValueError, ValueError):
        return None
    file = options.get(67) or fields[13]
    boot_url = file.split(b"\0")[0].decode("ascii", "replace")
    return Answer(kind, fields[4], address, server, boot_url) if fields[0] == 2 else None


def _options(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 1 < len(data) and data[at] != 255:
        if data[at] == 0:
            at += 1
            continue
        size = data[at + 1]
        yield data[at], data[at + 2 : at + 2 + size]
        at += 2 + size


def ask(interface: str, mac: str, transaction: int, *, seconds: float) -> Answer:
    """A lease for `mac` through an interface that has no address yet; raises NoLease."""
    deadline = time.monotonic() + seconds
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wire:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        wire.bind(("", 68))
        offer = _exchange(wire, message(_DISCOVER, mac, transaction, {}), _OFFER, deadline)
        wanted = {50: offer.address.ip.packed, 54: offer.server.packed}
        if offer.transaction != transaction:
            raise NoLease("the offer was for somebody else")
        return _exchange(wire, message(_REQUEST, mac, transaction, wanted), _ACK, deadline)


def _exchange(wire: socket.socket, data: bytes, kind: int, deadline: float) -> Answer:
    transaction = int.from_bytes(data[4:8], "big")
    reason = "nobody answered"
    while time.monotonic() < deadline:
        try:
            wire.sendto(data, ("255.255.255.255", 67))
            wire.settimeout(_PAUSE)
            while True:
                answer = parse(wire.recv(2048))
                if answer and answer.transaction == transaction and answer.kind == kind:
                    return answer
        except TimeoutError:
            continue
        except OSError as error:  # the cable is out
            reason = error.strerror or str(error)
            time.sleep(_PAUSE)
    raise NoLease(reason)
