"""Reading a FleetLock request: header and body to a checked identity. Pure.

Rules: https://coreos.github.io/zincati/development/fleetlock/protocol/ (body, headers). The
`kind`s are few and fixed, as the protocol demands of a server.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from enjoliver.common.errors import InvalidInput
from enjoliver.common.http import parse_json

HEADER = "fleet-lock-protocol"
MAX_ID_LENGTH = 255
MAX_GROUP_LENGTH = 128
_GROUP = re.compile(r"[a-zA-Z0-9.-]+")


@dataclass(frozen=True, slots=True)
class ClientIdentity:
    """Who asks: an opaque, case-sensitive `id` in a reboot `group`."""

    id: str
    group: str


def read_identity(header: str | None, body: bytes) -> ClientIdentity:
    """The identity in a request; raises InvalidInput (400) with the kind of what is wrong."""
    if header != "true":
        raise InvalidInput(
            f"the header {HEADER} must be there with the value true", kind="missing_protocol_header"
        )
    params = _read_params(body)
    return ClientIdentity(id=_read_id(params), group=_read_group(params))


def _read_params(body: bytes) -> dict[str, Any]:
    try:
        document = parse_json(body)
    except ValueError as error:
        raise InvalidInput(f"the body is not JSON: {error}", kind="malformed_body") from error
    params = document.get("client_params") if isinstance(document, dict) else None
    if not isinstance(params, dict):
        raise InvalidInput("client_params must be an object", kind="malformed_body")
    return params


def _read_id(params: dict[str, Any]) -> str:
    value = params.get("id")
    # NUL is the one character that a text column cannot hold.
    if not isinstance(value, str) or not value or "\0" in value:
        raise InvalidInput("client_params.id must be a non-empty string", kind="invalid_id")
    if len(value) > MAX_ID_LENGTH:
        raise InvalidInput(
            f"client_params.id has more than {MAX_ID_LENGTH} characters", kind="invalid_id"
        )
    return value


def _read_group(params: dict[str, Any]) -> str:
    value = params.get("group")
    if not isinstance(value, str) or len(value) > MAX_GROUP_LENGTH or not _GROUP.fullmatch(value):
        raise InvalidInput(
            "client_params.group must be a string of letters, digits, dots and dashes",
            kind="invalid_group",
        )
    return value
