"""Which machine this is and how it booted: DMI's UUID, the boot interface, the boot's id."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import parse_qs, urlsplit

from agent.facts.interfaces import Interface
from agent.facts.sources import Sources

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HEX = re.compile(r"[^0-9a-f]")
_NO_UUIDS = {"00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"}


def parse_uuid(text: str) -> str:
    """An SMBIOS UUID in lower case; "" when firmware has none."""
    uuid = text.strip().lower()
    return uuid if _UUID.fullmatch(uuid) and uuid not in _NO_UUIDS else ""


def parse_cmdline(text: str) -> tuple[str, str]:
    """UUID and boot MAC that the kernel's arguments tell; "" for what they do not.

    The config's address carries both (`ignition.config.url=…?uuid=…&mac=…`); PXELINUX-like
    firmware gives `BOOTIF=01-<mac>`.
    """
    uuid = mac = ""
    for word in text.split():
        name, _, value = word.partition("=")
        if name.endswith("config.url"):
            query = parse_qs(urlsplit(value).query)
            uuid = uuid or parse_uuid(query.get("uuid", [""])[0])
            mac = mac or _mac(query.get("mac", [""])[0])
        elif name == "BOOTIF":
            mac = mac or _mac(value[3:] if len(value) > 17 else value)
    return uuid, mac


def _mac(text: str) -> str:
    digits = _HEX.sub("", text.lower())
    return ":".join(re.findall("..", digits)) if len(digits) == 12 else ""


def boot_mac(told: str, interfaces: Sequence[Interface], routes: Sequence[tuple[str, str]]) -> str:
    """The MAC of the boot interface: as told, else of the default route, else the first one."""
    known = {one.mac for one in interfaces if one.mac}
    if told in known:
        return told
    by_name = {one.name: one.mac for one in interfaces}
    candidates = [by_name.get(name, "") for _, name in routes]
    candidates += [one.mac for one in interfaces if one.ipv4] + [one.mac for one in interfaces]
    return next((mac for mac in candidates if mac), "")


def read_uuid(sources: Sources) -> str:
    """DMI's UUID; the one in the kernel's arguments only where firmware tells none."""
    dmi = parse_uuid(sources.hardware_file("sys/class/dmi/id/product_uuid"))
    return dmi or parse_cmdline(sources.hardware_file("proc/cmdline"))[0]


def read_boot_id(sources: Sources) -> str:
    """The kernel's random id of this boot; a container may have one of its own."""
    return sources.stand_in("boot_id") or sources.system_file("proc/sys/kernel/random/boot_id")


def read_told_mac(sources: Sources) -> str:
    """The boot MAC that the kernel's arguments tell."""
    return parse_cmdline(sources.hardware_file("proc/cmdline"))[1]
