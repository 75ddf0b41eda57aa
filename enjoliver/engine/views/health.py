"""`/healthz` for people and old clients, `/livez` and `/readyz` for orchestrators."""

from __future__ import annotations

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import extend_schema

from enjoliver.common.errors import Unavailable
from enjoliver.common.http import MachineView, json_response
from enjoliver.common.models import Heartbeat
from enjoliver.engine.health import health

_BOOLEANS = {"type": "object", "additionalProperties": {"type": "boolean"}}
_OR_NULL = {"type": ["object", "null"], "additionalProperties": True}
HEALTH = {
    "type": "object",
    "required": ["global", "flask", "db", "matchbox", "discovery"],
    "properties": {
        "global": {"type": "boolean", "description": "Database, matchbox and discovery work."},
        "flask": {"type": "boolean", "description": "The engine answers (the old key)."},
        "db": {"type": "boolean", "description": "A row could be written."},
        "matchbox": _BOOLEANS,
        "matchbox_instances": _BOOLEANS,
        "discovery": _BOOLEANS,
        "queue": _OR_NULL,
        "sync": _OR_NULL,
    },
}


class HealthView(MachineView):
    """Everything that a fleet needs from the engine."""

    @extend_schema(
        operation_id="read_health",
        summary="Whether machines can boot and be discovered",
        tags=["engine"],
        responses={200: HEALTH, 503: HEALTH},
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        found = health()
        status = 200 if found["global"] else 503
        return json_response(found, status, **{"Access-Control-Allow-Origin": "*"})


class LiveView(MachineView):
    """The process runs; nothing else is asked."""

    @extend_schema(
        operation_id="read_liveness",
        summary="Whether this process answers",
        tags=["engine"],
        responses={200: {"type": "object", "properties": {"live": {"type": "boolean"}}}},
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        return json_response({"live": True})


class ReadyView(MachineView):
    """The process can serve: its database answers and has our tables."""

    @extend_schema(
        operation_id="read_readiness",
        summary="Whether this process can serve (503 without its database)",
        tags=["engine"],
        responses={200: {"type": "object", "properties": {"ready": {"type": "boolean"}}}},
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        try:
            Heartbeat.objects.exists()
        except DatabaseError as error:
            raise Unavailable("the database is away or not migrated") from error
        return json_response({"ready": True})
