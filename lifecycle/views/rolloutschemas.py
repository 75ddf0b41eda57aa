"""OpenAPI schemas of policies, rollouts, freezes, slots and answers to "why"."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter

from lifecycle.rules.order import ORDERS
from lifecycle.rules.states import ROLLOUT_STATES, ROW_STATES, STRATEGIES
from lifecycle.rules.validate import LEVELS, STARTS
from lifecycle.services.policies import FIELDS

Schema = dict[str, Any]
_TEXT: Schema = {"type": "string"}
_TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
_NUMBER: Schema = {"type": "integer"}
_NUMBER_OR_NULL: Schema = {"type": ["integer", "null"]}
_TIME: Schema = {"type": "string", "format": "date-time"}
_TIME_OR_NULL: Schema = {"type": ["string", "null"], "format": "date-time"}
_TEXTS: Schema = {"type": "array", "items": _TEXT}
_KINDS: dict[type, Schema] = {
    str: _TEXT,
    int: _NUMBER,
    bool: {"type": "boolean"},
    dict: {"type": "object"},
    list: {"type": "array", "items": {"type": "object"}},
}
_WORDS = {
    "strategy": STRATEGIES,
    "order": ORDERS,
    "domain_level": LEVELS,
    "starts": STARTS,
}


def _object(properties: Schema, *optional: str) -> Schema:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required}


def _list(item: Schema) -> Schema:
    return _object({"items": {"type": "array", "items": item}})


_FIELDS: Schema = {
    name: {"type": "string", "enum": list(_WORDS[name])} if name in _WORDS else _KINDS[kind]
    for name, kind in FIELDS.items()
}
POLICY_WANTED: Schema = {"type": "object", "properties": _FIELDS}
POLICY = _object(
    {**_FIELDS, "machines": _NUMBER, "updated_at": _TIME, "updated_by": _TEXT, "advice": _TEXTS},
    "advice",
)
POLICIES = _list(POLICY)
ANSWER = _object({"answer": _TEXT, "details": _TEXTS})
ROLLOUT = _object(
    {
        "id": _NUMBER,
        "policy": _TEXT,
        "cluster": _TEXT,
        "revision": _NUMBER,
        "from_revision": _NUMBER,
        "state": {"type": "string", "enum": list(ROLLOUT_STATES)},
        "reason": _TEXT,
        "details": _TEXT,
        "hold": {"type": "string", "description": "Why nothing moves now, if so."},
        "order": _TEXT,
        "stage": _NUMBER,
        "stages": {"type": "array", "items": {"type": "object"}},
        "machines": _object(dict.fromkeys(ROW_STATES, _NUMBER)),
        "created_at": _TIME,
        "created_by": _TEXT,
        "started_at": _TIME_OR_NULL,
        "changed_at": _TIME,
        "ended_at": _TIME_OR_NULL,
    }
)
ROLLOUTS = _object({"items": {"type": "array", "items": ROLLOUT}, "next": _NUMBER_OR_NULL})
PLACES = _object(
    {
        "items": {
            "type": "array",
            "items": _object(
                {
                    **dict.fromkeys(("machine", "mac", "fqdn", "reason"), _TEXT),
                    "position": _NUMBER,
                    "stage": _NUMBER,
                    "state": {"type": "string", "enum": list(ROW_STATES)},
                    **dict.fromkeys(
                        ("opened_at", "updating_at", "deadline_at", "finished_at"), _TIME_OR_NULL
                    ),
                }
            ),
        },
        "next": _NUMBER_OR_NULL,
    }
)
ROLLED_BACK = _object({"revision": _NUMBER, "cause": _TEXT})
ACTION_WANTED: Schema = {
    "type": "object",
    "properties": {
        "reason": {"type": "string", "description": "Needed by all but start and resume."},
        "machine": {"type": "string", "description": "Of skip: MAC, UUID, serial or name."},
    },
}
FREEZE_WANTED: Schema = {
    "type": "object",
    "properties": {"reason": _TEXT, "cluster": _TEXT, "policy": _TEXT, "ends_at": _TIME},
    "required": ["reason"],
}
FREEZE = _object(
    {
        "id": _NUMBER,
        "scope": _TEXT,
        "cluster": _TEXT_OR_NULL,
        "policy": _TEXT_OR_NULL,
        "reason": _TEXT,
        "starts_at": _TIME,
        "ends_at": _TIME_OR_NULL,
        "created_by": _TEXT,
        "lifted_at": _TIME_OR_NULL,
        "lifted_by": _TEXT,
    }
)
FREEZES = _list(FREEZE)
SLOTS = _list(
    _object(
        {
            "group": _TEXT,
            "holder": _TEXT,
            **dict.fromkeys(("machine", "mac", "phase"), _TEXT_OR_NULL),
            **dict.fromkeys(("acquired_at", "last_seen_at"), _TIME),
            **dict.fromkeys(("deadline_at", "lost_at"), _TIME_OR_NULL),
        }
    )
)
STATE = OpenApiParameter("state", str, enum=["active", *ROLLOUT_STATES])
POLICY_NAME = OpenApiParameter("policy", str, description="Only of the policy of this name.")
PLACE_STATE = OpenApiParameter("state", str, enum=list(ROW_STATES))
LIMIT = OpenApiParameter("limit", int, description="1 to 1000; default 100.")
AFTER = OpenApiParameter("after", int, description="`next` of the page before.")
ALL = OpenApiParameter("all", bool, description="Also freezes that ended.")
DELETED = _object({"deleted": _TEXT})
