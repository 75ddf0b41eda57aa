"""The install gate and install reports."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import extend_schema

from enjoliver.common.errors import Forbidden
from enjoliver.common.http import MachineView, json_response, text_response
from enjoliver.common.times import rfc3339
from lifecycle.models import InstallReport
from lifecycle.services import (
    Denied,
    Granted,
    ask_to_install,
    gate_limits,
    read_standing,
    renew_grant,
    report_install,
)
from lifecycle.views import schemas
from lifecycle.views.common import (
    find_asking_machine,
    machine_part,
    source_address,
    with_boot_interface,
)
from lifecycle.views.schemas import ATTEMPT_HEADER, GRANT_HEADER, PLACE_HEADER


def read_attempt_id(request: HttpRequest) -> uuid.UUID | None:
    """The attempt's id in the header; None when there is none or it is no UUID."""
    try:
        return uuid.UUID(request.headers.get(ATTEMPT_HEADER, ""))
    except ValueError:
        return None


class InstallAuthorizationView(MachineView):
    """The install gate."""

    @extend_schema(
        operation_id="install_authorization",
        summary="Ask for a place at the install gate; ask again while it is refused",
        description="With the attempt's id in the request, a holder says that its install goes "
        "on: 409 `grant_ended` when that grant is not open any more. HEAD only looks: 200 for the "
        "holder, 403 for others, and nobody is granted or queued.",
        parameters=[schemas.RAW_QUERY, schemas.RENEWED, *schemas.GATE_HEADERS],
        responses={**schemas.text_answers(200, 403), **schemas.json_answers({}, 400, 404, 409)},
        tags=["lifecycle"],
    )
    def get(self, request: HttpRequest, raw_query: str) -> HttpResponse:
        """`Granted` with the attempt's id, or `Locked by <a holder's query>` and the place."""
        machine, attempt_id = find_asking_machine(raw_query), read_attempt_id(request)
        if attempt_id:
            return _standing(renew_grant(machine=machine, attempt_id=attempt_id))
        return _standing(
            ask_to_install(machine=machine, raw_query=raw_query, source=source_address(request))
        )

    def head(self, request: HttpRequest, raw_query: str) -> HttpResponse:
        """How the machine stands: a HEAD changes nothing (RFC 9110 §9.2.1)."""
        return _standing(read_standing(machine=find_asking_machine(raw_query)))


def _standing(answer: Granted | Denied) -> HttpResponse:
    if isinstance(answer, Granted):
        granted = text_response("Granted")
        granted[ATTEMPT_HEADER] = str(answer.attempt_id)
        granted[GRANT_HEADER] = str(int(gate_limits().deadline.total_seconds()))
        return granted
    queue = f" of {answer.queue}" if answer.queue else ""
    text = f"Locked by {answer.locked_by}\nplace {answer.place} in the queue{queue}\n"
    denied = text_response(text, 403)
    denied["Retry-After"] = str(answer.retry_after_seconds)
    denied[PLACE_HEADER] = str(answer.place)
    return denied


class InstallReportView(MachineView):
    """One machine's install report."""

    @extend_schema(
        operation_id="install_report",
        summary="Report how an install ended; safe to repeat",
        request=None,
        parameters=[schemas.OUTCOME, schemas.RAW_QUERY, schemas.ATTEMPT],
        responses=schemas.json_answers({200: schemas.INSTALL_REPORT}, 400, 403, 404, 409),
        tags=["lifecycle"],
    )
    def post(self, request: HttpRequest, status: str, raw_query: str) -> HttpResponse:
        """Keep the report; the answer is the same whether it counts or not."""
        word = status.lower()
        if word not in ("success", "fail"):
            raise Forbidden(f"success or fail != {word[:200]}", kind="unknown_outcome")
        machine = find_asking_machine(raw_query)
        report_install(
            machine=machine,
            success=word == "success",
            attempt_id=read_attempt_id(request),
            source=source_address(request),
        )
        return json_response({"success": word == "success", "request_raw_query": raw_query})


class InstallReportListView(MachineView):
    """All machines that reported an install."""

    @extend_schema(
        operation_id="install_report_list",
        summary="The latest install report of each machine",
        responses=schemas.json_answers({200: schemas.INSTALL_REPORTS}),
        tags=["lifecycle"],
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        """`success` is what the latest report said, `confirmed` whether it counted."""
        rows = with_boot_interface(
            InstallReport.objects.all(), "success", "is_confirmed", "created_at", "updated_at"
        )
        return json_response([_row(row) for row in rows])


def _row(row: dict[str, Any]) -> dict[str, Any]:
    return {
        **machine_part(row),
        "success": row["success"],
        "confirmed": row["is_confirmed"],
        "created_date": rfc3339(row["created_at"]),
        "updated_date": rfc3339(row["updated_at"]),
    }
