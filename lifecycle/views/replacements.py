"""/api/v1: guided replacements of control-plane members."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import extend_schema

from enjoliver.common.bodies import read_document, read_text
from enjoliver.common.errors import InvalidInput, NotFound
from enjoliver.common.http import MachineView, OperatorView, json_response
from lifecycle.machinedocs import MAX_ROWS, plan_document, replacement_document
from lifecycle.models import Replacement
from lifecycle.services import (
    cancel_replacement,
    choose_again,
    plan_replacement,
    start_replacement,
)
from lifecycle.views import machineschemas as schemas
from lifecycle.views.machines import read_reason
from machines.lookup import find_named_machine
from machines.models import Machine


def find_replacement(text: str) -> Replacement:
    """The replacement with this id; raises NotFound."""
    is_number = text.isascii() and text.isdecimal() and len(text) < 19
    rows = Replacement.objects.select_related("cluster", "joining")
    row = rows.filter(pk=int(text)).first() if is_number else None
    if row is None:
        raise NotFound(f"there is no replacement {text[:32]!r}")
    return row


class ReplacementPlanView(MachineView):
    """What a replacement would mean."""

    @extend_schema(
        operation_id="replacement_plan",
        summary="Who could take a member's place, and what speaks against it",
        parameters=[schemas.MACHINE],
        responses={200: schemas.REPLACEMENT_PLAN},
        tags=["replacements"],
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        """Changes nothing. 409 when the machine is no member of a control plane."""
        text = request.GET.get("machine", "")
        if not text:
            raise InvalidInput("machine: required", fields={"machine": "required"})
        return json_response(plan_document(plan_replacement(machine=find_named_machine(text))))


class ReplacementsView(OperatorView):
    """All replacements."""

    permission = "lifecycle.add_replacement"

    @extend_schema(
        operation_id="replacements_list",
        summary="Replacements, newest first",
        responses={200: schemas.REPLACEMENTS},
        tags=["replacements"],
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        """At most a thousand."""
        rows = Replacement.objects.select_related("cluster", "joining")[:MAX_ROWS]
        return json_response({"items": [replacement_document(row) for row in rows]})

    @extend_schema(
        operation_id="replacements_start",
        summary="Begin to replace a member of a control plane (operators)",
        request={"application/json": schemas.REPLACEMENT_WANTED},
        responses={200: schemas.REPLACEMENT},
        tags=["replacements"],
    )
    def post(self, request: HttpRequest) -> HttpResponse:
        """409 when the quorum would be lost, or another replacement runs."""
        document = read_document(request, known=("machine", "reason", "spare"))
        row = start_replacement(
            machine=find_named_machine(read_text(document, "machine")),
            actor=request.user.get_username(),
            reason=read_reason(document),
            spare=_spare(document),
        )
        return json_response(replacement_document(row))


class ReplacementView(MachineView):
    """One replacement."""

    @extend_schema(
        operation_id="replacements_read",
        summary="How a replacement stands, and what it waits for",
        responses={200: schemas.REPLACEMENT},
        tags=["replacements"],
    )
    def get(self, request: HttpRequest, replacement_id: str) -> HttpResponse:
        """`waits_for` is empty while it goes on."""
        return json_response(replacement_document(find_replacement(replacement_id)))


class ReplacementAgainView(OperatorView):
    """Another spare."""

    permission = "lifecycle.change_replacement"

    @extend_schema(
        operation_id="replacements_again",
        summary="Take another spare: the one chosen does not install (operators)",
        request={"application/json": schemas.SPARE},
        responses={200: schemas.REPLACEMENT},
        tags=["replacements"],
    )
    def post(self, request: HttpRequest, replacement_id: str) -> HttpResponse:
        """The machine that did not install is released and left alone."""
        document = read_document(request, known=("spare",))
        row = choose_again(
            replacement=find_replacement(replacement_id),
            actor=request.user.get_username(),
            spare=_spare(document),
        )
        return json_response(replacement_document(row))


class ReplacementCancelView(OperatorView):
    """Stop."""

    permission = "lifecycle.change_replacement"

    @extend_schema(
        operation_id="replacements_cancel",
        summary="Stop a replacement (operators)",
        request={"application/json": schemas.REASON},
        responses={200: schemas.REPLACEMENT},
        tags=["replacements"],
    )
    def post(self, request: HttpRequest, replacement_id: str) -> HttpResponse:
        """Once the spare has the place, the new member stays and the old one stays released."""
        document = read_document(request, known=("reason",))
        row = cancel_replacement(
            replacement=find_replacement(replacement_id),
            actor=request.user.get_username(),
            reason=read_reason(document),
        )
        return json_response(replacement_document(row))


def _spare(document: Mapping[str, Any]) -> Machine | None:
    text = read_text(document, "spare")
    return find_named_machine(text) if text else None
