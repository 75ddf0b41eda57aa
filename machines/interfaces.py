"""The interfaces of a discovery document: addresses that agree, names that can be names. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from machines.documents import ObjectReader, text_problem

MAX_INTERFACES = 512
MAX_NAMES = 32
_KEYS = ("name", "mac", "ipv4", "cidrv4", "netmask", "gateway")
# The kernel takes any name without whitespace, slash and colon (net/core/dev.c, dev_valid_name).
_INTERFACE_NAME = re.compile(r"[^\s/:]{1,64}")
# RFC 1123 §2.1 plus the underscore, which directories hand out nevertheless.
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)


@dataclass(frozen=True, slots=True)
class InterfaceFacts:
    """A network interface with a MAC. Without address: `ipv4` and `netmask` None, `cidrv4` ""."""

    name: str
    mac: str
    ipv4: str | None = None
    netmask: int | None = None
    cidrv4: str = ""
    gateway: str | None = None
    fqdn: str | None = None
    is_boot: bool = False


def read_interfaces(top: ObjectReader, boot_mac: str) -> tuple[InterfaceFacts, ...]:
    """All interfaces that have a MAC (loopback has none), one of them marked as the boot one."""
    found: dict[str, InterfaceFacts] = {}
    for index, item in enumerate(top.items("interfaces", limit=MAX_INTERFACES)):
        reader = ObjectReader(item, f"interfaces[{index}]", top.problems)
        if reader.data.get("mac") == "" or not reader.has(*_KEYS):
            continue
        interface = _read_interface(reader)
        if not interface.mac:
            continue
        if interface.name in found:
            reader.note("name", "an interface with this name is already listed")
        found.setdefault(interface.name, interface)
    return _with_boot_mark(tuple(found.values()), boot_mac)


def _with_boot_mark(
    interfaces: tuple[InterfaceFacts, ...], boot_mac: str
) -> tuple[InterfaceFacts, ...]:
    """A bond and its members share a MAC: the first one that has an address is the boot one."""
    matching = [one for one in interfaces if one.mac == boot_mac]
    boot = next((one for one in matching if one.ipv4), next(iter(matching), None))
    return tuple(replace(one, is_boot=True) if one is boot else one for one in interfaces)


def _read_interface(reader: ObjectReader) -> InterfaceFacts:
    name = reader.text("name", limit=64)
    if name and not _INTERFACE_NAME.fullmatch(name):
        reader.note("name", "no whitespace, slash or colon is allowed")
    ipv4 = reader.ipv4("ipv4")
    netmask = _read_netmask(reader)
    prefix = _agreed_prefix(reader, ipv4, netmask)
    return InterfaceFacts(
        name=name,
        mac=reader.mac("mac"),
        ipv4=ipv4,
        netmask=prefix,
        cidrv4=f"{ipv4}/{prefix}" if ipv4 and prefix is not None else "",
        gateway=reader.ipv4("gateway"),
        fqdn=_read_fqdn(reader),
    )


def _read_netmask(reader: ObjectReader) -> int | None:
    if reader.data.get("netmask") == "":
        return None
    return reader.integer("netmask", high=32, is_required=False)


def _agreed_prefix(reader: ObjectReader, ipv4: str | None, netmask: int | None) -> int | None:
    """The prefix length that `cidrv4` and `netmask` tell; either may be missing, not both.

    The 2018 project's export wrote the bare address in `cidrv4`: then `netmask` counts.
    """
    text = reader.text("cidrv4", limit=64, is_required=False)
    address, _, length = text.partition("/")
    if ipv4 is None:
        if text and address != "0.0.0.0":  # noqa: S104 - a value in a document
            reader.note("cidrv4", "does not agree with ipv4, which is empty")
        return None
    if text and (address != ipv4 or ("/" in text and not _is_prefix(length))):
        reader.note("cidrv4", f"expected {ipv4}/<0 to 32>, the address of ipv4 with its prefix")
        return None
    if length and netmask is not None and int(length) != netmask:
        reader.note("cidrv4", f"does not agree with netmask, which is {netmask}")
    prefix = int(length) if length else netmask
    if prefix is None and "netmask" not in _problem_keys(reader):
        reader.note("netmask", "required where there is an address")
    return prefix


def _is_prefix(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 2 and int(text) <= 32


def _problem_keys(reader: ObjectReader) -> Sequence[str]:
    return [path.removeprefix(f"{reader.path}.") for path in reader.problems]


def _read_fqdn(reader: ObjectReader) -> str | None:
    """The first usable name of a text or a list of texts, as claimed, lower-case.

    Hostile texts are refused; a text that is merely no host name is passed over, since names
    come from directories that the machine does not control.
    """
    value = reader.data.get("fqdn")
    names: list[Any] = value if isinstance(value, list) else [None if value == "" else value]
    if len(names) > MAX_NAMES:
        reader.note("fqdn", f"at most {MAX_NAMES} names")
        return None
    claimed = {index: name for index, name in enumerate(names) if name is not None}
    for index, name in claimed.items():
        reason = text_problem(name, 254) or _length_problem(name)
        if reason:
            reader.note(f"fqdn[{index}]" if isinstance(value, list) else "fqdn", reason)
            return None
    return next((usable for name in claimed.values() if (usable := host_name(name))), None)


def _length_problem(name: str) -> str:
    bare = name.strip().removesuffix(".")
    if len(bare) > 253:
        return "at most 253 characters"
    if any(len(label) > 63 for label in bare.split(".")):
        return "at most 63 characters between the dots"
    return ""


def host_name(name: str) -> str | None:
    """`name` lower-case without its trailing dot, or None when it is no host name."""
    bare = name.strip().removesuffix(".").lower()
    return bare if bare and all(_LABEL.fullmatch(label) for label in bare.split(".")) else None
