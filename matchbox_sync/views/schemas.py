"""OpenAPI schemas of plans, revisions and pending changes."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter

Schema = dict[str, Any]
_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "integer"}
_NUMBER_OR_NULL: Schema = {"type": ["integer", "null"]}
_FLAG: Schema = {"type": "boolean"}
_TIME: Schema = {"type": "string", "format": "date-time"}
_TIME_OR_NULL: Schema = {"type": ["string", "null"], "format": "date-time"}
_NUMBERS: Schema = {"type": "array", "items": _NUMBER}


def _object(properties: Schema, *optional: str) -> Schema:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _page(items: Schema) -> Schema:
    return _object({"items": _list(items), "next": _NUMBER_OR_NULL})


REVISION = _object(
    {
        "number": _NUMBER,
        "cluster": _TEXT,
        "fingerprint": _TEXT,
        "cause": _TEXT,
        "author": _TEXT,
        "reason": _TEXT,
        "created_at": _TIME,
        "completed_at": _TIME_OR_NULL,
        "machines_changed": _NUMBER,
        "values": {"type": "object"},
        "profiles": {"type": "object", "additionalProperties": _TEXT},
    },
    "values",
    "profiles",
)
REVISIONS = _page(REVISION)
CHANGE = _object(
    {
        "id": _NUMBER,
        "cluster": _TEXT,
        "state": {"type": "string", "enum": ["waiting", "approved", "rejected", "superseded"]},
        "is_open": _FLAG,
        "summary": _TEXT,
        "why": _TEXT,
        "affected": _list(_TEXT),
        "author": _TEXT,
        "created_at": _TIME,
        "decided_by": _TEXT,
        "decided_at": _TIME_OR_NULL,
        "reason": _TEXT,
        "revision": _NUMBER_OR_NULL,
    }
)
CHANGES = _page(CHANGE)
_DIFFERENCE = _object(
    {
        "kind": _TEXT,
        "name": _TEXT,
        "action": {"type": "string", "enum": ["added", "removed", "changed"]},
        "attributes": _list(_object({"name": _TEXT, "before": {}, "after": {}})),
        "text": {"type": "string", "description": "A unified diff."},
        "binary": {"type": "object", "description": "Sizes and SHA-256 of both sides."},
    },
    "text",
    "binary",
)
_PLANNED_MACHINE = _object(
    {
        "id": _NUMBER,
        "name": _TEXT,
        "mac": _TEXT,
        "profile": _TEXT,
        "outcome": {"type": "string", "enum": ["changed", "first", "failed", "waiting"]},
        "group": _NUMBER_OR_NULL,
        "reason": _TEXT,
        "is_document_changed": _FLAG,
        "action": {"type": "string", "description": "What would be done to it."},
        "blocked": {"type": "string", "description": "Why not, or not yet."},
    },
    "action",
    "blocked",
)
_GROUP = _object(
    {
        "number": _NUMBER,
        "machine_ids": _NUMBERS,
        "sample_id": _NUMBER,
        "summary": _TEXT,
        "changes": _list(_DIFFERENCE),
    }
)
PLAN = _object(
    {
        "title": _TEXT,
        "counts": {"type": "object", "additionalProperties": _NUMBER},
        "values": {
            "type": "object",
            "additionalProperties": _object({"before": {}, "after": {}}),
        },
        "rendered": _NUMBER,
        "notes": _list(_TEXT),
        "problems": _list(_object({"profile": _TEXT, "stage": _TEXT, "message": _TEXT})),
        "groups": _list(_GROUP),
        "machines": _list(_PLANNED_MACHINE),
    }
)
PLAN_RUN = _object(
    {
        "id": _NUMBER,
        "cluster": _TEXT,
        "title": _TEXT,
        "author": _TEXT,
        "state": {"type": "string", "enum": ["queued", "running", "done", "failed"]},
        "done": _NUMBER,
        "total": _NUMBER,
        "message": _TEXT,
        "created_at": _TIME,
        "finished_at": _TIME_OR_NULL,
        "plan": {"oneOf": [PLAN, {"type": "null"}]},
    }
)
PLAN_REQUEST = _object(
    {
        "cluster": _TEXT,
        "values": {"type": "object", "description": "Values to change."},
        "replace": {"type": "boolean", "description": "Other values get their defaults."},
        "pending": {"type": "integer", "description": "Or: a pending change."},
        "revision": {"type": "integer", "description": "Or: a revision, against what is desired."},
        "compare": {
            "type": "array",
            "items": _NUMBER,
            "minItems": 2,
            "maxItems": 2,
            "description": "Or: two revisions.",
        },
    },
    "cluster",
    "values",
    "replace",
    "pending",
    "revision",
    "compare",
)
REASON = _object({"reason": _TEXT}, "reason")
MACHINES = _page(
    _object(
        {
            "id": _NUMBER,
            "uuid": _TEXT,
            "mac": _TEXT,
            "fqdn": {"type": ["string", "null"]},
            "profile": _TEXT,
            "running": _NUMBER_OR_NULL,
            "desired": _NUMBER,
            "newest": _NUMBER,
            "previous": _NUMBER_OR_NULL,
            "desired_sha512": _TEXT,
            "assigned_at": _TIME,
        }
    )
)
CLUSTER = OpenApiParameter("cluster", str, OpenApiParameter.QUERY, description="Default: default.")
LIMIT = OpenApiParameter("limit", int, OpenApiParameter.QUERY, description="1 to 500.")
AFTER = OpenApiParameter(
    "after", int, OpenApiParameter.QUERY, description="The last answer's `next`."
)
MACHINE = OpenApiParameter(
    "machine", str, OpenApiParameter.QUERY, required=True, description="MAC, UUID or name."
)
