"""The machine's identity in a path segment or a query string: `uuid=…&mac=…&os=installed`.

The segment form comes from the 2018 project's routes; iPXE writes the MAC with dashes
(https://ipxe.org/cfg/mac, `hexhyp`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from enjoliver.common.addresses import normalise_mac, normalise_uuid
from enjoliver.common.errors import InvalidInput

MAX_LENGTH = 2048


@dataclass(frozen=True, slots=True)
class MachineQuery:
    """Who asks: a normalised `mac`, a normalised `uuid` or None, all `params`, the `raw` text."""

    raw: str
    mac: str
    uuid: str | None
    params: Mapping[str, str]

    @property
    def is_installed_system(self) -> bool:
        """True when the installed system (not the firmware or discovery) asks."""
        return self.params.get("os") == "installed"


def parse_raw_query(raw: str) -> MachineQuery:
    """Read one raw query; raises InvalidInput (status 400) that names the field and the reason."""
    if len(raw) > MAX_LENGTH:
        raise InvalidInput(f"the query is longer than {MAX_LENGTH} characters")
    params = dict(parse_qsl(raw, keep_blank_values=True))
    return query_from_params(raw, params)


def query_from_params(raw: str, params: Mapping[str, str]) -> MachineQuery:
    """Build a MachineQuery from split parameters; raises InvalidInput like parse_raw_query."""
    if not params.get("mac"):
        raise InvalidInput(f"{raw[:200]} is not parsable: no mac in it", fields={"mac": "required"})
    try:
        mac = normalise_mac(params["mac"])
    except ValueError as error:
        raise InvalidInput(f"mac: {error}", fields={"mac": str(error)}) from error
    try:
        uuid = normalise_uuid(params["uuid"]) if params.get("uuid") else None
    except ValueError as error:
        raise InvalidInput(f"uuid: {error}", fields={"uuid": str(error)}) from error
    return MachineQuery(raw=raw, mac=mac, uuid=uuid, params=params)
