"""The sync gate and the templates in force."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema

from enjoliver.common.errors import InvalidInput, NotAcceptable, NotFound, Unavailable
from enjoliver.common.http import MachineView, OperatorView, json_response, parse_json, read_body
from matchbox_sync import held
from matchbox_sync.models import ProfileInForce, ReportedTemplate
from matchbox_sync.naming import DEFAULT_CLUSTER, published_profile
from matchbox_sync.services import record_template, renew_gate
from scheduling.models import Cluster

_OBJECT = {(200, "application/json"): OpenApiTypes.OBJECT}


class SyncNotifyView(OperatorView):
    """The sync gate: configs are good as of a moment."""

    permission = "matchbox_sync.change_syncstate"

    @extend_schema(
        operation_id="sync_notify_read",
        responses={**_OBJECT, (503, "application/json"): OpenApiTypes.OBJECT},
        tags=["sync"],
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        """When the gate was renewed (Unix time); 503 when that is longer ago than the limit."""
        try:
            moment = held.gate_timestamp()
        except (OperationalError, InterfaceError) as error:
            raise _closed("the database does not answer", kind="database_unavailable") from error
        if moment is None:
            limit = settings.SYNC_NOTIFY_TTL_SECONDS
            raise _closed(f"no sync has finished within {limit} seconds", kind="out_of_sync")
        return json_response({"sync-notify": moment})

    @extend_schema(operation_id="sync_notify", request=None, responses=_OBJECT, tags=["sync"])
    def post(self, request: HttpRequest) -> HttpResponse:
        """Renew the gate by hand; the sync does it after every good run."""
        moment = renew_gate(cluster=Cluster.objects.get(name=DEFAULT_CLUSTER))
        return json_response({"ts": moment.timestamp(), "ttl": settings.SYNC_NOTIFY_TTL_SECONDS})


def _closed(value: str, *, kind: str) -> Unavailable:
    return Unavailable(value, kind=kind, extra={"sync-notify": False}, headers={"Retry-After": "5"})


def _templates_in_force() -> dict[str, Any]:
    rows = ProfileInForce.objects.select_related("cluster", "version").order_by("profile")
    return {published_profile(row.cluster.name, row.profile): row.version.template for row in rows}


class TemplatesView(MachineView):
    """Which template text is in force."""

    @extend_schema(operation_id="templates_list", responses=_OBJECT, tags=["sync"])
    def get(self, request: HttpRequest) -> HttpResponse:
        """By name: what readers recorded, and under the profiles' names what matchbox renders."""
        recorded = dict(ReportedTemplate.objects.values_list("name", "content"))
        return json_response(recorded | _templates_in_force())


class TemplateView(OperatorView):
    """One template text."""

    permission = "matchbox_sync.change_reportedtemplate"

    @extend_schema(
        operation_id="templates_read",
        responses={**_OBJECT, (404, "application/json"): OpenApiTypes.OBJECT},
        tags=["sync"],
    )
    def get(self, request: HttpRequest, name: str) -> HttpResponse:
        """The text under one name."""
        known = dict(ReportedTemplate.objects.filter(name=name).values_list("name", "content"))
        known |= {key: text for key, text in _templates_in_force().items() if key == name}
        if name not in known:
            raise NotFound(f"no template {name[:128]!r} is in force or recorded")
        return json_response({name: known[name]})

    @extend_schema(
        operation_id="templates_record",
        request=OpenApiTypes.OBJECT,
        responses={**_OBJECT, (406, "application/json"): OpenApiTypes.OBJECT},
        tags=["sync"],
    )
    def post(self, request: HttpRequest, name: str) -> HttpResponse:
        """Record `{name: text}` for readers; it is never rendered."""
        if len(name) > 128:
            raise InvalidInput("a template's name has at most 128 characters")
        try:
            document = parse_json(read_body(request))
        except ValueError as error:
            raise NotAcceptable(f"the body is not JSON: {error}") from error
        if not isinstance(document, dict) or name not in document:
            raise NotAcceptable(f"expected {{{name!r}: text}}", fields={name: "required"})
        if not isinstance(document[name], str) or "\0" in document[name]:
            reason = "expected text without NUL"
            raise NotAcceptable(f"{name}: {reason}", fields={name: reason})
        is_new, total = record_template(name=name, content=document[name])
        return json_response({"new": is_new, "total": total})
