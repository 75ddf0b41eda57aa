"""Where a machine stands, as far as its name, its labels and its switches tell. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MAX_DOMAIN_LENGTH = 128
_RACK_AND_POSITION = re.compile(r"[a-z]+(\d{1,9})-[a-z]+(\d{1,9})", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class DnsAttributes:
    """The parts of a name like `r13-srv3.dc-1.foo.bar.cr`; "" for what it does not tell."""

    shortname: str
    dc: str
    domain: str
    rack: str
    pos: str


def parse_fqdn(fqdn: str) -> DnsAttributes:
    """Split a name into short name, data centre, domain, rack and position.

    Rack and position come from the pattern `r<rack>-srv<pos>` (any letters); a short name of
    another form gives neither.
    """
    shortname, _, domain = fqdn.partition(".")
    found = _RACK_AND_POSITION.fullmatch(shortname)
    rack, pos = found.groups() if found else ("", "")
    return DnsAttributes(
        shortname=shortname, dc=domain.partition(".")[0], domain=domain, rack=rack, pos=pos
    )


def failure_domain(chassis_names: Sequence[str], labels: Mapping[str, str], fqdn: str) -> str:
    """Name what fails together with the machine: `chassis:…`, `rack:…`, or "" when unknown.

    The switches that it sees by LLDP tell most (all of them, sorted: two machines on the same
    pair of switches share a domain), then the label `rack`, then the rack in its name.
    """
    chassis = sorted({name for name in chassis_names if name})
    if chassis:
        return f"chassis:{'+'.join(chassis)}"[:MAX_DOMAIN_LENGTH]
    rack = labels.get("rack") or parse_fqdn(fqdn).rack
    return f"rack:{rack}"[:MAX_DOMAIN_LENGTH] if rack else ""
