"""OpenAPI schemas of maintenance, replacements and install limits."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter

from lifecycle.models import LimitScope, ReplacementState, ReplacementStep

Schema = dict[str, Any]
_TEXT: Schema = {"type": "string"}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
_NUMBER: Schema = {"type": "integer"}
_NUMBER_OR_NULL: Schema = {"type": ["integer", "null"]}
_FLAG: Schema = {"type": "boolean"}
_TIME: Schema = {"type": "string", "format": "date-time"}
_TIME_OR_NULL: Schema = {"type": ["string", "null"], "format": "date-time"}
_TEXTS: Schema = {"type": "array", "items": _TEXT}


def _object(properties: Schema, *required: str) -> Schema:
    shape: Schema = {"type": "object", "properties": properties}
    return {**shape, "required": list(required)} if required else shape


def _list(item: Schema) -> Schema:
    return _object({"items": {"type": "array", "items": item}})


REASON = _object({"reason": _TEXT}, "reason")
FORCED_REASON = _object({"reason": _TEXT, "force": _FLAG}, "reason")
DONE = _object({"done": _FLAG})
ENDED = _object({"ended": _FLAG})
MAINTENANCE_WANTED = _object({"reason": _TEXT, "until": _TIME, "force": _FLAG}, "reason")
MAINTENANCE = _object(
    {
        **dict.fromkeys(("mac", "uuid", "reason", "started_by"), _TEXT),
        "started_at": _TIME,
        "until": _TIME_OR_NULL,
    }
)
MAINTENANCE_LIST = _list(MAINTENANCE)
MACHINE = OpenApiParameter(
    "machine",
    str,
    OpenApiParameter.QUERY,
    required=True,
    description="MAC, UUID, serial number or name.",
)
_SPARE: Schema = _object(
    {"mac": _TEXT, "domain": _TEXT, "score_after": _NUMBER, "is_kept_as_spare": _FLAG}
)
REPLACEMENT_PLAN = _object(
    {
        "level": _TEXT,
        "score_before": _NUMBER,
        "spares": {"type": "array", "items": _SPARE},
        "spares_found": _NUMBER,
        "lack": _TEXT,
        "spread_before": {"type": "object"},
        "obstacles": _TEXTS,
        "warnings": _TEXTS,
    }
)
SPARE = _object({"spare": _TEXT})
REPLACEMENT_WANTED = _object(
    {"machine": _TEXT, "reason": _TEXT, "spare": _TEXT}, "machine", "reason"
)
REPLACEMENT = _object(
    {
        "id": _NUMBER,
        **dict.fromkeys(("cluster", "leaving", "next", "waits_for", "reason", "started_by"), _TEXT),
        "joining": _TEXT_OR_NULL,
        "state": {"type": "string", "enum": list(ReplacementState.values)},
        "step": {"type": "string", "enum": list(ReplacementStep.values)},
        "started_at": _TIME,
        "step_at": _TIME,
        "ended_at": _TIME_OR_NULL,
        "score_before": _NUMBER_OR_NULL,
        "score_after": _NUMBER_OR_NULL,
    }
)
REPLACEMENTS = _list(REPLACEMENT)
_WHERE: Schema = dict.fromkeys(("mac", "site", "rack", "asset_server"), _TEXT)
QUEUE = _object(
    {
        "installing": {
            "type": "array",
            "items": _object({**_WHERE, "since": _TIME, "deadline": _TIME}),
        },
        "waiting": {"type": "array", "items": _object({**_WHERE, "since": _TIME})},
    }
)
_SCOPE: Schema = {"type": "string", "enum": list(LimitScope.values)}
LIMIT = _object({"scope": _SCOPE, "name": _TEXT, "concurrency": _NUMBER_OR_NULL}, "scope")
LIMITS = _object(
    {
        "site_default": _NUMBER,
        "items": {
            "type": "array",
            "items": _object({"scope": _SCOPE, "name": _TEXT, "concurrency": _NUMBER}),
        },
    }
)
