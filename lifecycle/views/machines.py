"""/api/v1: maintenance, retire, readmit, reinstall."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.dateparse import parse_datetime
from drf_spectacular.utils import extend_schema

from enjoliver.common.bodies import read_document, read_flag, read_text
from enjoliver.common.errors import InvalidInput
from enjoliver.common.http import MachineView, OperatorView, json_response
from lifecycle.machinedocs import maintenance_document
from lifecycle.models import Maintenance
from lifecycle.services import end_maintenance, retire_machine, start_maintenance
from lifecycle.views import machineschemas as schemas
from machines.lookup import find_named_machine
from machines.services import request_reinstall
from scheduling.services import readmit_machine


def read_reason(document: Mapping[str, Any]) -> str:
    """The reason that an operator must give; raises InvalidInput."""
    reason = read_text(document, "reason", longest=200)
    if not reason:
        raise InvalidInput("reason: say why", fields={"reason": "required"})
    return reason


def read_moment(document: Mapping[str, Any], key: str) -> datetime | None:
    """The time at `key` (RFC 3339, with its zone) in UTC, or None. Raises InvalidInput."""
    text = read_text(document, key, longest=40)
    if not text:
        return None
    try:
        moment = parse_datetime(text)
        if moment and moment.tzinfo:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):  # the latter: UTC has no such day, at the calendar's ends
        pass
    reason = "a time as 2026-05-01T08:00:00Z is expected"
    raise InvalidInput(f"{key}: {reason}", fields={key: reason})


class MaintenanceListView(MachineView):
    """Who is in maintenance."""

    @extend_schema(
        operation_id="maintenance_list",
        summary="Machines that somebody works on",
        responses={200: schemas.MAINTENANCE_LIST},
        tags=["machines"],
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        """The longest first."""
        rows = Maintenance.objects.select_related("machine")
        return json_response({"items": [maintenance_document(row) for row in rows]})


class MaintenanceView(OperatorView):
    """Maintenance of one machine."""

    permission = "lifecycle.change_maintenance"

    @extend_schema(
        operation_id="maintenance_start",
        summary="Say that somebody works on a machine (operators)",
        request={"application/json": schemas.MAINTENANCE_WANTED},
        responses={200: schemas.MAINTENANCE},
        tags=["machines"],
    )
    def post(self, request: HttpRequest, machine: str) -> HttpResponse:
        """409 when too few members of a control plane would be left; `force` does it anyway."""
        document = read_document(request, known=("reason", "until", "force"))
        row = start_maintenance(
            machine=find_named_machine(machine),
            actor=request.user.get_username(),
            reason=read_reason(document),
            until_at=read_moment(document, "until"),
            is_forced=read_flag(document, "force"),
        )
        return json_response(maintenance_document(row))

    @extend_schema(
        operation_id="maintenance_end",
        summary="Say that the work is done (operators)",
        responses={200: schemas.ENDED},
        tags=["machines"],
    )
    def delete(self, request: HttpRequest, machine: str) -> HttpResponse:
        """`ended` is false when the machine was not in maintenance."""
        found = find_named_machine(machine)
        ended = end_maintenance(machine=found, actor=request.user.get_username())
        return json_response({"ended": ended})


class RetireView(OperatorView):
    """Taking a machine out of service."""

    permission = "scheduling.delete_assignment"

    @extend_schema(
        operation_id="machines_retire",
        summary="Take a machine out of service for good (operators)",
        request={"application/json": schemas.REASON},
        responses={200: schemas.DONE},
        tags=["machines"],
    )
    def post(self, request: HttpRequest, machine: str) -> HttpResponse:
        """409 for a member of a control plane: it is replaced instead."""
        reason = read_reason(read_document(request, known=("reason",)))
        found = find_named_machine(machine)
        actor = request.user.get_username()
        return json_response({"done": retire_machine(machine=found, actor=actor, reason=reason)})


class ReadmitView(OperatorView):
    """Taking a machine back."""

    permission = "scheduling.add_assignment"

    @extend_schema(
        operation_id="machines_readmit",
        summary="Let the scheduler have a released or retired machine again (operators)",
        request=None,
        responses={200: schemas.DONE},
        tags=["machines"],
    )
    def post(self, request: HttpRequest, machine: str) -> HttpResponse:
        """`done` is false when it was neither."""
        found = find_named_machine(machine)
        done = readmit_machine(machine=found, actor=request.user.get_username())
        return json_response({"done": done})


class ReinstallView(OperatorView):
    """Installing a machine again."""

    permission = "machines.change_machine"

    @extend_schema(
        operation_id="machines_reinstall",
        summary="Have a machine install itself again at its next boot (operators)",
        request={"application/json": schemas.FORCED_REASON},
        responses={200: schemas.DONE},
        tags=["machines"],
    )
    def post(self, request: HttpRequest, machine: str) -> HttpResponse:
        """409 with the harm that it would do; `force` does it anyway."""
        document = read_document(request, known=("reason", "force"))
        request_reinstall(
            machine=find_named_machine(machine),
            actor=request.user.get_username(),
            reason=read_reason(document),
            is_forced=read_flag(document, "force"),
        )
        return json_response({"done": True})
