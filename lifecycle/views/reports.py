"""Config reports: the busiest route of the engine."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import extend_schema

from enjoliver.common.errors import (
    EngineError,
    InvalidInput,
    NotAcceptable,
    UnknownMachine,
)
from enjoliver.common.http import MachineView, json_response, read_body
from enjoliver.common.rawquery import MachineQuery, parse_raw_query
from enjoliver.common.times import rfc3339
from lifecycle.models import IgnitionReport
from lifecycle.services import Verdict, submit_report
from lifecycle.views import schemas
from lifecycle.views.common import machine_part, with_boot_interface

OUTDATED_STATUS = 210
"""No status of HTTP's own: the machines' update scripts act on exactly this one."""

_ANSWERS: dict[Verdict, tuple[dict[str, str], int]] = {
    Verdict.UP_TO_DATE: ({"message": "Up-to-date"}, 200),
    Verdict.OUTDATED: ({"message": "Outdated"}, OUTDATED_STATUS),
    Verdict.SEND_FULL: ({"message": "Outdated", "send": "full"}, OUTDATED_STATUS),
}


class IgnitionReportView(MachineView):
    """One machine's config report."""

    @extend_schema(
        operation_id="ignition_report",
        summary="Report the running Ignition, or its digest",
        description='The running document itself, or `{"sha512": "<128 hex digits>"}` of its '
        "bytes or of its RFC 8785 form. 210: outdated; with `send: full` the digest is unknown.",
        parameters=[schemas.RAW_QUERY],
        request={"application/json": schemas.RUNNING_CONFIG},
        responses=schemas.json_answers(
            {200: schemas.UP_TO_DATE, 210: schemas.OUTDATED, 406: schemas.UNREADABLE}, 409, 413
        ),
        tags=["lifecycle"],
    )
    def post(self, request: HttpRequest, raw_query: str) -> HttpResponse:
        """Compare with the desired config and keep the verdict."""
        try:
            verdict = submit_report(query=_read_query(raw_query), body=read_body(request))
        except UnknownMachine as error:
            raise _unknown(error) from error
        document, status = _ANSWERS[verdict]
        return json_response(document, status)


def _read_query(raw_query: str) -> MachineQuery:
    try:
        return parse_raw_query(raw_query)
    except InvalidInput as error:
        raise _unknown(error) from error


def _unknown(error: EngineError) -> NotAcceptable:
    """No such machine, or no MAC to find one by: 406 here, with the old clients' key."""
    return NotAcceptable(
        error.value, kind=error.kind, fields=error.fields, extra={"message": "Unknown"}
    )


class IgnitionReportListView(MachineView):
    """All machines that report."""

    @extend_schema(
        operation_id="ignition_report_list",
        summary="The latest config report of each machine",
        responses=schemas.json_answers({200: schemas.IGNITION_REPORTS}),
        tags=["lifecycle"],
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        """Dates are the report's: first one, newest one, last flip of the verdict (or null)."""
        columns = ("is_up_to_date", "last_change_at", "created_at", "reported_at")
        rows = with_boot_interface(IgnitionReport.objects.all(), *columns)
        return json_response([_row(row) for row in rows])


def _row(row: dict[str, Any]) -> dict[str, Any]:
    return {
        **machine_part(row),
        "up-to-date": row["is_up_to_date"],
        "last_change_date": rfc3339(row["last_change_at"]),
        "created_date": rfc3339(row["created_at"]),
        "updated_date": rfc3339(row["reported_at"]),
    }
