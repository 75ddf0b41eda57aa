"""Where a machine stands, as far as its name, its labels, its switches and operators tell. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from enjoliver.common.addresses import normalise_mac

MAX_DOMAIN_LENGTH = 128
MAX_NAME_LENGTH = 120
_RACK_AND_POSITION = re.compile(r"[a-z]+(\d{1,9})-[a-z]+(\d{1,9})", re.IGNORECASE | re.ASCII)


class Level(StrEnum):
    """What may fail at once, the largest first."""

    SITE = "site"
    ROW = "row"
    RACK = "rack"
    CHASSIS = "chassis"


LEVELS = tuple(Level)


@dataclass(frozen=True, slots=True)
class DnsAttributes:
    """The parts of a name like `r13-srv3.dc-1.foo.bar.cr`; "" for what it does not tell."""

    shortname: str
    dc: str
    domain: str
    rack: str
    pos: str


@dataclass(frozen=True, slots=True)
class Location:
    """The names of what a machine stands in; "" where nothing tells.

    `chassis` is what it is plugged into: the switches that it sees by LLDP (all of them, sorted),
    or the enclosure that an operator names. Its name counts as unique everywhere; a rack's name
    only inside its row and site.
    """

    site: str = ""
    row: str = ""
    rack: str = ""
    chassis: str = ""

    def domain(self, level: str) -> str:
        """The failure domain at `level`, with the larger ones around it; "" when unknown.

        A machine whose rack nobody tells stands in the rack of its switches, one whose chassis
        nobody tells fails with its rack.
        """
        if level == Level.CHASSIS:
            return self._chassis or self._path(Level.RACK)
        if level == Level.RACK:
            return self._path(Level.RACK) or self._chassis
        return self._path(level)

    def domains(self) -> tuple[str, ...]:
        """The domains at all levels, the largest first."""
        return tuple(self.domain(level) for level in LEVELS)

    @property
    def failure_domain(self) -> str:
        """The one word that is pinned: `chassis:…`, else `rack:…`, else ""."""
        name = self._chassis or (f"rack:{self.rack}" if self.rack else "")
        return name[:MAX_DOMAIN_LENGTH]

    @property
    def _chassis(self) -> str:
        return f"chassis:{self.chassis}" if self.chassis else ""

    def _path(self, level: str) -> str:
        names = {Level.SITE: self.site, Level.ROW: self.row, Level.RACK: self.rack}
        if not names[Level(level)]:
            return ""
        around = LEVELS[: LEVELS.index(Level(level)) + 1]
        return "/".join(f"{name}:{names[name]}" for name in around if names[name])


UNKNOWN = Location()


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


def locate(
    *,
    chassis_names: Sequence[str],
    labels: Mapping[str, str],
    fqdn: str,
    imported: Location = UNKNOWN,
) -> Location:
    """Where a machine stands: an import tells most, then its labels, its switches, its name.

    The labels are called as the levels. A name whose rack is contradicted is not believed about
    the site either: it comes from a former place.
    """
    names = {level: getattr(imported, level) or labels.get(level, "") for level in LEVELS}
    told = parse_fqdn(fqdn)
    rack = names[Level.RACK] or told.rack
    site = names[Level.SITE] or (told.dc if told.rack and told.rack == rack else "")
    switches = "+".join(sorted({name for name in chassis_names if name}))
    chassis = names[Level.CHASSIS] or switches
    return Location(*(text[:MAX_NAME_LENGTH] for text in (site, names[Level.ROW], rack, chassis)))


def failure_domain(chassis_names: Sequence[str], labels: Mapping[str, str], fqdn: str) -> str:
    """Name what fails together with the machine: `chassis:…`, `rack:…`, or "" when unknown.

    The switches that it sees by LLDP tell most (all of them, sorted: two machines on the same
    pair of switches share a domain), then the label `rack`, then the rack in its name.
    """
    return locate(chassis_names=chassis_names, labels=labels, fqdn=fqdn).failure_domain


def normalise_key(text: str) -> str:
    """A key of an import in the one spelling that is stored; a MAC in any common spelling."""
    try:
        return normalise_mac(text.strip())
    except ValueError:
        return text.strip().lower()
