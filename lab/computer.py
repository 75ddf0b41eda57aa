"""The computer that the lab stands on: its networks and programs."""

from __future__ import annotations

import shutil
from ipaddress import IPv4Network

from lab.programs import run_json

_PROGRAMS = {
    "ip": "iproute2",
    "dnsmasq": "dnsmasq-base",
    "lldpd": "lldpd",
    "lldpcli": "lldpd",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
}
"""What every lab runs, and the Debian package of each."""


def networks_of_this_computer() -> list[IPv4Network]:
    """The IPv4 networks that it has routes to, the default route not counted."""
    rows = run_json(["ip", "-json", "-4", "route", "show", "table", "main"])
    return [
        IPv4Network(row["dst"], strict=False)
        for row in rows
        if row.get("dst", "default") != "default"
    ]


def missing_programs() -> list[str]:
    """A sentence for each program that is not there."""
    return [
        f"The program {program} is not there (Debian: {package})."
        for program, package in _PROGRAMS.items()
        if shutil.which(program) is None
    ]
