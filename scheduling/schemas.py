"""OpenAPI schemas of the scheduler's routes."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter

from scheduling.roles import RoleName

Schema = dict[str, Any]
_TEXT: Schema = {"type": "string"}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
_ROLES: Schema = {"type": "array", "items": {"type": "string", "enum": list(RoleName.values)}}
_ERROR: Schema = {"kind": _TEXT, "value": _TEXT, "fields": {"type": "object"}}
_MACHINE: Schema = {
    "mac": _TEXT,
    "ipv4": _TEXT_OR_NULL,
    "cidrv4": _TEXT_OR_NULL,
    "as_boot": {"type": "boolean"},
    "name": _TEXT,
    "fqdn": _TEXT_OR_NULL,
    "netmask": {"type": ["integer", "null"]},
    "created_date": {"type": "string", "format": "date-time"},
    "disks": {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"path": _TEXT, "size-bytes": {"type": "integer"}},
        },
    },
}


def _object(properties: Schema, *required: str) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required or properties)}


REQUEST = _object(
    {
        "roles": _ROLES,
        "selector": _object({"mac": _TEXT, "uuid": _TEXT}, "mac"),
    }
)
ECHO = {"type": "object", "description": "The document as it was sent."}
ERROR = _object(_ERROR, "kind", "value")
REFUSED = _object({**_ERROR, "roles": _ROLES, "selector": {"type": "object"}}, "kind", "value")
SCHEDULE = {
    "type": "object",
    "description": "Boot MAC to roles, in the order they were given.",
    "additionalProperties": _ROLES,
}
AVAILABLE = {"type": "array", "items": _object({**_MACHINE, "waiting": _TEXT_OR_NULL})}
HOLDERS = {
    "type": "array",
    "items": _object({**_MACHINE, "gateway": _TEXT_OR_NULL, "roles": {"oneOf": [_TEXT, _ROLES]}}),
}
ADDRESSES = {"type": "array", "items": {"type": "string", "format": "ipv4"}}
MAC = OpenApiParameter("mac", str, OpenApiParameter.QUERY, description="One machine only.")
ROLE = OpenApiParameter(
    "role",
    str,
    OpenApiParameter.PATH,
    description="A role; several joined by `&` ask for exactly that set (lists of machines only).",
)
