"""Interfaces, addresses and gateway: from `ip -j`, else from sysfs and procfs."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass

from agent.facts.sources import Sources
from agent.facts.text import load_json, rows

_MAC = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}")
_NO_MAC = "00:00:00:00:00:00"
MAX_INTERFACES = 500


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface. Without MAC or IPv4 address the texts are empty; `prefix` in bits."""

    name: str
    mac: str = ""
    ipv4: str = ""
    prefix: int | None = None

    @property
    def cidr(self) -> str:
        """The address with its prefix; "" without."""
        return f"{self.ipv4}/{self.prefix}" if self.ipv4 and self.prefix is not None else ""


def parse(text: str) -> list[Interface]:
    """The interfaces in what `ip -j addr` says, in its order."""
    found: dict[str, Interface] = {}
    for item in rows(load_json(text))[:MAX_INTERFACES]:
        name = item.get("ifname")
        if isinstance(name, str) and re.fullmatch(r"[^\s/:]{1,64}", name):
            address, prefix = _ipv4(item.get("addr_info"))
            found.setdefault(name, Interface(name, _mac(item.get("address")), address, prefix))
    return list(found.values())


def _ipv4(value: object) -> tuple[str, int | None]:
    """The first global IPv4 address, else the first one of any scope."""
    listed = [row for row in rows(value) if row.get("family") == "inet"]
    listed.sort(key=lambda row: row.get("scope") != "global" or bool(row.get("secondary")))
    for row in listed:
        address, prefix = is_ipv4(row.get("local")), row.get("prefixlen")
        if address and isinstance(prefix, int) and 0 <= prefix <= 32:
            return address, prefix
    return "", None


def is_ipv4(value: object) -> str:
    """`value` when it is a dotted quad, else ""."""
    try:
        return str(ipaddress.IPv4Address(value)) if isinstance(value, str) else ""
    except ValueError:
        return ""


def _mac(value: object) -> str:
    mac = value.lower() if isinstance(value, str) else ""
    return mac if _MAC.fullmatch(mac) and mac != _NO_MAC else ""


def parse_routes(text: str) -> list[tuple[str, str]]:
    """Default routes of `ip -j -4 route show default`: (gateway, interface), best first."""
    listed = [row for row in rows(load_json(text)) if row.get("dst") == "default"]
    listed.sort(key=lambda row: _metric(row.get("metric")))
    return [(is_ipv4(row.get("gateway")), str(row.get("dev", ""))) for row in listed]


def _metric(value: object) -> int:
    return value if isinstance(value, int) else 0


def parse_proc_routes(text: str) -> list[tuple[str, str]]:
    """Default routes in /proc/net/route, where addresses are hexadecimal, low byte first."""
    found: list[tuple[int, str, str]] = []
    for line in text.splitlines()[1:]:
        columns = line.split()
        if len(columns) > 6 and columns[1] == "00000000" and len(columns[2]) == 8:
            try:
                gateway = str(ipaddress.IPv4Address(bytes.fromhex(columns[2])[::-1]))
                found.append((int(columns[6]), gateway, columns[0]))
            except ValueError:
                continue
    return [(gateway, name) for _, gateway, name in sorted(found)]


def parse_sysfs(addresses: Mapping[str, str]) -> list[Interface]:
    """Interfaces without addresses: MACs by name, as /sys/class/net has them."""
    return [Interface(name, _mac(mac)) for name, mac in sorted(addresses.items())]


def read(sources: Sources) -> list[Interface]:
    """The interfaces of this network namespace."""
    found = parse(sources.program("ip-addr.json", ["ip", "-j", "addr"]))
    if found:
        return found
    folder = sources.root / "sys/class/net"
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return parse_sysfs(
        {name: sources.system_file(f"sys/class/net/{name}/address") for name in names}
    )


def read_routes(sources: Sources) -> list[tuple[str, str]]:
    """The default routes, best first."""
    said = sources.program("ip-route.json", ["ip", "-j", "-4", "route", "show", "default"])
    return parse_routes(said) or parse_proc_routes(sources.system_file("proc/net/route"))
