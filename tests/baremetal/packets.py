"""DHCP packets (RFC 2131, 2132) as firmware writes and reads them. Pure."""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass, field

COOKIE = b"\x63\x82\x53\x63"
DISCOVER, OFFER, REQUEST, ACK = 1, 2, 3, 5
TYPE, REQUESTED, SERVER, VENDOR, USER_CLASS, ARCH, BOOT_FILE = 53, 50, 54, 60, 77, 93, 67
VENDOR_OPTIONS = 43
_HEAD = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s")
_BROADCAST = 0x8000


@dataclass(frozen=True, slots=True)
class Firmware:
    """How a kind of firmware asks: architecture (option 93) and classes (options 60 and 77)."""

    arch: int
    vendor: str = "PXEClient"
    user_class: str = ""

    def options(self) -> dict[int, bytes]:
        """The options by which a server can tell it (RFC 4578; iPXE sends its bare name)."""
        found = {
            VENDOR: f"{self.vendor}:Arch:{self.arch:05}:UNDI:003016".encode(),
            ARCH: struct.pack("!H", self.arch),
            94: b"\x01\x03\x10",
            97: b"\x00" + bytes(range(16)),
            55: bytes([1, 3, 6, 12, 15, 42, 43, 54, 60, 66, 67, 128, 129, 130, 131, 132, 133]),
            57: struct.pack("!H", 1472),
        }
        if self.user_class:
            found[USER_CLASS] = self.user_class.encode()
        return found


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said."""

    type: int
    address: str
    next_server: str
    server: str
    boot_file: str
    options: dict[int, bytes] = field(default_factory=dict)


def request(
    kind: int,
    mac: str,
    transaction: int,
    firmware: Firmware,
    extra: dict[int, bytes] | None = None,
    address: str = "",
) -> bytes:
    """A packet from a client without an address, answered by broadcast; or from `address`."""
    hardware = bytes.fromhex(mac.replace(":", ""))
    head = _HEAD.pack(
        *(1, 1, 6, 0, transaction, 0, 0 if address else _BROADCAST),
        *(ipaddress.IPv4Address(address or 0).packed, b"", b"", b"", hardware, b"", b""),
    )
    options = {TYPE: bytes([kind]), **(extra or {}), **firmware.options()}
    coded = b"".join(bytes([code, len(value)]) + value for code, value in options.items())
    return (head + COOKIE + coded + b"\xff").ljust(548, b"\x00")


def read_answer(packet: bytes, transaction: int) -> Answer | None:
    """A server's packet for this transaction; None for anything else."""
    if len(packet) < _HEAD.size + 4 or packet[0] != 2:
        return None
    values = _HEAD.unpack_from(packet)
    if values[4] != transaction or packet[_HEAD.size : _HEAD.size + 4] != COOKIE:
        return None
    options = _options(packet[_HEAD.size + 4 :])
    file = options.get(BOOT_FILE) or values[13]
    return Answer(
        type=options.get(TYPE, b"\x00")[0],
        address=str(ipaddress.IPv4Address(values[8])),
        next_server=str(ipaddress.IPv4Address(values[9])),
        server=str(ipaddress.IPv4Address(options.get(SERVER, bytes(4)))),
        boot_file=file.rstrip(b"\x00").decode("ascii"),
        options=options,
    )


def first_choice(offer: Answer) -> dict[int, bytes]:
    """What a PXE ROM asks port 4011 for: the first entry of the boot menu that was offered.

    PXE 2.1, tables 2-1 and 2-3: the menu is tag 9 of option 43, the choice tag 71.
    """
    menu = _options(offer.options.get(VENDOR_OPTIONS, b"")).get(9, b"")
    return {VENDOR_OPTIONS: b"\x47\x04" + menu[:2] + b"\x00\x00\xff"} if menu else {}


def _options(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data) and data[at] != 255:
        if data[at] == 0:
            at += 1
            continue
        length = data[at + 1]
        found[data[at]] = found.get(data[at], b"") + data[at + 2 : at + 2 + length]
        at += 2 + length
    return found
