"""Routes for operators only: settings, backups, stopping the engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, ClassVar

from django.conf import settings
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiResponse, extend_schema

from enjoliver.common.errors import Conflict, EngineError
from enjoliver.common.http import OperatorView, json_response
from enjoliver.engine.export import export_playbook
from enjoliver.engine.processes.runfile import request_stop
from enjoliver.engine.shown_settings import shown_settings
from enjoliver.engine.stopping import processes_of_run
from machines.services import record_event

ALL_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_ERROR = {"$ref": "#/components/schemas/Error"}
_NO_DUMP = {501: OpenApiResponse(_ERROR, "Not built into this version.")}


class ConfigView(OperatorView):
    """All engine settings; secrets are masked."""

    permission: ClassVar[str] = "engine.view_settings"
    operator_methods: ClassVar[tuple[str, ...]] = ALL_METHODS

    @extend_schema(
        summary="The engine's settings, with where each came from; secrets masked",
        tags=["operator"],
        responses={
            200: {
                "type": "object",
                "additionalProperties": {
                    "type": "object",
                    "required": ["value", "source", "default", "meaning", "effective"],
                    "properties": {
                        "source": {"enum": ["environment", "file", "default"]},
                        "default": {"type": "string"},
                        "meaning": {"type": "string"},
                    },
                },
            }
        },
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        return json_response(shown_settings(settings.CONFIGURED, settings))


class BackupExportView(OperatorView):
    """The fleet as a list of requests that make it again."""

    permission: ClassVar[str] = "engine.export_backup"
    operator_methods: ClassVar[tuple[str, ...]] = ALL_METHODS

    @extend_schema(
        operation_id="export_backup",
        summary="Replayable list: each machine's discovery, then its roles",
        tags=["operator"],
        responses={
            200: {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["route", "data"],
                    "properties": {
                        "route": {"enum": ["/discovery", "/scheduler"]},
                        "data": {"type": "object", "additionalProperties": True},
                    },
                },
            }
        },
    )
    def get(self, request: HttpRequest) -> HttpResponseBase:
        return StreamingHttpResponse(
            _json_list(export_playbook()),
            content_type="application/json",
            headers={"Content-Disposition": 'attachment; filename="enjoliver-backup.json"'},
        )


class BackupDatabaseView(OperatorView):
    """Dumps of the database; this version makes none and says so."""

    permission: ClassVar[str] = "engine.export_backup"
    operator_methods: ClassVar[tuple[str, ...]] = ALL_METHODS

    @extend_schema(
        operation_id="read_last_database_backup",
        summary="The last dump of the database",
        tags=["operator"],
        responses=_NO_DUMP,
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        raise _no_dump()

    @extend_schema(
        operation_id="back_up_database",
        summary="Dump the database",
        tags=["operator"],
        request=None,
        responses=_NO_DUMP,
    )
    def post(self, request: HttpRequest) -> HttpResponse:
        raise _no_dump()


class ShutdownView(OperatorView):
    """Stops every process that `manage.py run` started here."""

    permission: ClassVar[str] = "engine.shut_down"

    @extend_schema(
        operation_id="shut_down",
        summary="Stop the engine's local processes",
        tags=["operator"],
        request=None,
        responses={
            200: {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"pid": {"type": "integer"}, "name": {"type": "string"}},
                },
            },
            409: OpenApiResponse(_ERROR, "Not running under `manage.py run`."),
        },
    )
    def post(self, request: HttpRequest) -> HttpResponse:
        processes = processes_of_run(settings.STATE_DIR)
        if not processes:
            raise Conflict(
                "this engine was not started by `manage.py run` (or `make run`): stop it where it "
                "was started, e.g. with its service manager",
                kind="not_under_run",
            )
        actor = str(request.user)
        record_event(kind="shutdown", message="the engine was told to stop", actor=actor)
        request_stop(settings.STATE_DIR)
        return json_response(processes)


def _json_list(items: Iterator[dict[str, Any]]) -> Iterator[str]:
    separator = "["
    for item in items:
        yield separator + json.dumps(item)
        separator = ",\n"
    yield "]" if separator != "[" else "[]"


def _no_dump() -> EngineError:
    return EngineError(
        "this version makes no dumps of the database: use GET /backup/export, or pg_dump",
        kind="not_implemented",
        status_code=501,
    )
