"""OpenAPI schemas of lifecycle's routes."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter

from lifecycle.fleetlock import HEADER
from lifecycle.models import StrategyName
from lifecycle.progress import VERBS

Schema = dict[str, Any]
ATTEMPT_HEADER = "X-Enjoliver-Attempt"
PLACE_HEADER = "X-Enjoliver-Queue-Position"
GRANT_HEADER = "X-Enjoliver-Grant-Seconds"

_TEXT: Schema = {"type": "string"}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
_FLAG: Schema = {"type": "boolean"}
_FLAG_OR_NULL: Schema = {"type": ["boolean", "null"]}
_TIME: Schema = {"type": "string", "format": "date-time"}
_TIME_OR_NULL: Schema = {"type": ["string", "null"], "format": "date-time"}
_STRATEGY: Schema = {"type": "string", "enum": list(StrategyName.values)}


def _object(properties: Schema, *optional: str) -> Schema:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required}


def _list_of_machines(properties: Schema) -> Schema:
    machine = {"mac": _TEXT, "fqdn": _TEXT_OR_NULL, "cidrv4": _TEXT_OR_NULL}
    return {"type": "array", "items": _object({**machine, **properties})}


def _error(extra: Schema | None = None) -> Schema:
    """The error shape, with the keys that old clients read on this route."""
    shape = {"kind": _TEXT, "value": _TEXT, "fields": {"type": "object"}}
    return _object({**(extra or {}), **shape}, "fields", *(extra or {}))


ERROR = _error()
INSTALL_REPORT = _object({"success": _FLAG, "request_raw_query": _TEXT})
INSTALL_REPORTS = _list_of_machines(
    {"success": _FLAG, "confirmed": _FLAG, "created_date": _TIME, "updated_date": _TIME}
)

RUNNING_CONFIG = {
    "description": "The running Ignition document, or its digest.",
    "anyOf": [
        _object({"sha512": {"type": "string", "pattern": "^[0-9a-fA-F]{128}$"}}),
        _object({"ignition": {"type": "object"}}),
    ],
}
UP_TO_DATE = _object({"message": {"type": "string", "const": "Up-to-date"}})
OUTDATED = _object(
    {
        "message": {"type": "string", "const": "Outdated"},
        "send": {"type": "string", "const": "full"},
    },
    "send",
)
UNREADABLE = _error({"message": _TEXT})
IGNITION_REPORTS = _list_of_machines(
    {
        "up-to-date": _FLAG,
        "last_change_date": _TIME_OR_NULL,
        "created_date": _TIME,
        "updated_date": _TIME,
    }
)

SAID = _object(
    {
        "verb": {"type": "string", "enum": list(VERBS)},
        "step": {"type": "string", "minLength": 1},
        "reason": _TEXT,
        "since": _TIME,
        "boot_id": _TEXT,
        "version": _TEXT,
    },
    "reason",
    "since",
    "boot_id",
    "version",
)
NOTED = _object({"message": {"type": "string", "const": "Noted"}})
PROGRESS = _list_of_machines(
    {
        "verb": _TEXT,
        "step": _TEXT,
        "reason": _TEXT,
        "since": _TIME,
        "seen": _TIME,
        "boot_id": _TEXT,
        "version": _TEXT,
    }
)

WANTED_STRATEGY = _object({"strategy": _STRATEGY}, "strategy")
STRATEGY_SET = _object({"enable": _FLAG, "strategy": _STRATEGY, "request_raw_query": _TEXT})
STRATEGY_DISABLED = _object({"enable": _FLAG, "request_raw_query": _TEXT})
LEAVE = _object(
    {
        "enable": _FLAG,
        "strategy": _STRATEGY,
        "request_raw_query": _TEXT,
        "lock": _object({"url": _TEXT, "group": _TEXT, "id": _TEXT}),
    }
)
NO_LEAVE = _error(
    {
        "enable": _FLAG_OR_NULL,
        "strategy": _TEXT_OR_NULL,
        "request_raw_query": _TEXT,
        "reason": _TEXT,
    }
)
STRATEGIES = _list_of_machines(
    {
        "enable": _FLAG,
        "strategy": _STRATEGY,
        "created_date": _TIME,
        "updated_date": _TIME_OR_NULL,
    }
)

LOCK_REQUEST = _object(
    {
        "client_params": _object(
            {
                "id": {"type": "string", "minLength": 1, "maxLength": 255},
                "group": {"type": "string", "pattern": "^[a-zA-Z0-9.-]+$", "maxLength": 128},
            }
        )
    }
)
LOCKED: Schema = {"type": "object", "description": "Empty: the status says it all."}

RAW_QUERY = OpenApiParameter(
    "raw_query",
    str,
    OpenApiParameter.PATH,
    description="`uuid=…&mac=…&os=installed` as one path segment; `mac` must be there.",
)
OUTCOME = OpenApiParameter("status", str, OpenApiParameter.PATH, enum=["success", "fail"])
ATTEMPT = OpenApiParameter(ATTEMPT_HEADER, str, OpenApiParameter.HEADER)
RENEWED = OpenApiParameter(
    ATTEMPT_HEADER,
    str,
    OpenApiParameter.HEADER,
    description="The attempt that goes on: pushes its deadline and begins nothing.",
)
GATE_HEADERS = [
    OpenApiParameter(ATTEMPT_HEADER, str, OpenApiParameter.HEADER, response=[200]),
    OpenApiParameter(
        GRANT_HEADER,
        int,
        OpenApiParameter.HEADER,
        response=[200],
        description="The grant is given on to others after so many seconds of silence.",
    ),
    OpenApiParameter("Retry-After", int, OpenApiParameter.HEADER, response=[403]),
    OpenApiParameter(PLACE_HEADER, int, OpenApiParameter.HEADER, response=[403]),
]
PROTOCOL = OpenApiParameter(HEADER, str, OpenApiParameter.HEADER, required=True, enum=["true"])


def json_answers(answers: dict[int, Schema], *errors: int) -> dict[Any, Any]:
    """OpenAPI's entries: JSON documents by status, and statuses that answer with an error."""
    listed = {(status, "application/json"): schema for status, schema in answers.items()}
    return listed | {(status, "application/json"): ERROR for status in errors}


def text_answers(*statuses: int) -> dict[Any, Any]:
    """OpenAPI's entries for plain text."""
    return {(status, "text/plain"): OpenApiTypes.STR for status in statuses}
