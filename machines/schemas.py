"""OpenAPI schemas of the discovery routes."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]
_TEXT: Schema = {"type": "string"}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
_DATE: Schema = {"type": "string", "format": "date-time"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_SIZE: Schema = {"type": "integer", "minimum": 0, "maximum": 2**63 - 1}


def _object(required: str = "", **properties: Schema) -> Schema:
    named = {name.replace("_", "-"): schema for name, schema in properties.items()}
    return {"type": "object", "properties": named, "required": required.split()}


def _list(item: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": item} | more


def _or_null(schema: Schema) -> Schema:
    return schema | {"type": [schema["type"], "null"]}


_SENT_INTERFACE: Schema = {
    "type": "object",
    "required": ["name", "mac", "ipv4", "cidrv4", "netmask", "gateway"],
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 64},
        "mac": {"type": "string", "description": 'Any common spelling; "" for loopback.'},
        "ipv4": _TEXT_OR_NULL,
        "cidrv4": _TEXT_OR_NULL,
        "netmask": {"type": ["integer", "null"], "minimum": 0, "maximum": 32},
        "gateway": _TEXT_OR_NULL,
        "fqdn": {"oneOf": [_TEXT_OR_NULL, _list(_TEXT_OR_NULL)]},
    },
}
_NEIGHBOUR = _object(
    "name chassis port",
    name=_TEXT,
    chassis=_object("id", id=_TEXT, name=_TEXT_OR_NULL),
    port=_object("id", id=_TEXT),
)
REPORT: Schema = _object(
    "boot-info interfaces disks lldp",
    boot_info=_object(
        "uuid mac", uuid={"type": "string", "format": "uuid"}, mac=_TEXT, random_id=_TEXT_OR_NULL
    ),
    interfaces=_list(_SENT_INTERFACE, maxItems=512),
    disks=_or_null(
        _list(
            _object(
                "path size-bytes",
                path=_TEXT,
                size_bytes=_SIZE,
                model=_TEXT_OR_NULL,
                serial=_TEXT_OR_NULL,
                rotational={"type": ["boolean", "null"]},
            ),
            maxItems=1024,
        )
    ),
    lldp={
        "type": "object",
        "required": ["is_file"],
        "properties": {
            "is_file": {"type": "boolean"},
            "data": _or_null(_object("", interfaces=_or_null(_list(_NEIGHBOUR)))),
        },
    },
    ignition_journal=_or_null(_list(_TEXT)),
    hardware=_or_null(
        _object(
            "",
            serial=_TEXT_OR_NULL,
            product=_TEXT_OR_NULL,
            cpu_count=_or_null(_COUNT),
            memory_bytes=_or_null(_SIZE),
        )
    ),
)

RECORDED: Schema = {
    "type": "object",
    "required": ["new-discovery"],
    "properties": {"new-discovery": {"type": "boolean"}},
}
REFUSED: Schema = {
    "type": "object",
    "description": "Why the document is refused; the four usage keys are for old clients.",
    "required": ["kind", "value", "boot-info", "interfaces", "disks", "lldp"],
    "properties": {
        "kind": _TEXT,
        "value": _TEXT,
        "fields": {"type": "object", "additionalProperties": _TEXT},
        "boot-info": {"type": "object"},
        "interfaces": _list({}),
        "disks": _list({}),
        "lldp": {"type": "object"},
    },
}
_SHOWN: dict[str, Schema] = {
    "mac": _TEXT,
    "name": _TEXT,
    "ipv4": _TEXT_OR_NULL,
    "cidrv4": _TEXT_OR_NULL,
    "netmask": {"type": ["integer", "null"]},
    "gateway": _TEXT_OR_NULL,
    "fqdn": _TEXT_OR_NULL,
    "as_boot": {"type": "boolean"},
}
_SHOWN_INTERFACE: Schema = {"type": "object", "required": [*_SHOWN], "properties": _SHOWN}
MACHINES: Schema = _list(
    _object(
        "boot-info interfaces disks",
        boot_info=_object(
            "uuid mac created-date updated-date",
            uuid=_TEXT,
            mac=_TEXT,
            created_date=_DATE,
            updated_date=_DATE,
        ),
        interfaces=_list(_SHOWN_INTERFACE),
        disks=_list(_object("path size-bytes", path=_TEXT, size_bytes=_SIZE)),
    )
)
INTERFACES: Schema = _list(
    {
        "type": "object",
        "required": [*_SHOWN, "uuid"],
        "properties": _SHOWN | {"uuid": _TEXT},
    }
)
_BOOT: dict[str, Schema] = {"uuid": _TEXT, "boot_id": _TEXT, "created_date": _DATE}
JOURNALS: Schema = _list(
    {
        "type": "object",
        "required": [*_BOOT, "lines"],
        "properties": _BOOT | {"lines": _COUNT},
    }
)
JOURNAL: Schema = {
    "type": "object",
    "required": [*_BOOT, "lines"],
    "properties": _BOOT | {"lines": _list(_TEXT)},
}
