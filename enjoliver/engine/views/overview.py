"""The fleet for dashboards: JSON with the 2018 project's keys."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema

from enjoliver.common.errors import InvalidInput
from enjoliver.common.http import MachineView, json_response
from enjoliver.engine.overview import machine_rows, state_rows

DEFAULT_MINUTES = 30
_TEXT_OR_NULL = {"type": ["string", "null"]}
_TIME_OR_NULL = {"type": ["string", "null"], "format": "date-time"}
MACHINE_ROW = {
    "type": "object",
    "required": [
        "MAC",
        "CIDR",
        "FQDN",
        "Roles",
        "DiskProfile",
        "LastState",
        "LastReport",
        "LastChange",
        "UpToDate",
        "UpdateStrategy",
    ],
    "properties": {
        "MAC": {"type": "string"},
        "CIDR": _TEXT_OR_NULL,
        "FQDN": _TEXT_OR_NULL,
        "Roles": {"type": "string", "description": "Joined by commas, in the order given."},
        "DiskProfile": {"type": "string"},
        "LastState": {"type": "string"},
        "LastReport": _TIME_OR_NULL,
        "LastChange": _TIME_OR_NULL,
        "UpToDate": {"type": ["boolean", "null"]},
        "UpdateStrategy": {"enum": ["kexec", "reboot", "poweroff", "Disable"]},
    },
}
STATE_ROW = {
    "type": "object",
    "required": ["mac", "fqdn", "state", "date"],
    "properties": {
        "mac": {"type": "string"},
        "fqdn": _TEXT_OR_NULL,
        "state": {"type": "string"},
        "date": {"type": "string", "format": "date-time"},
    },
}


class MachinesView(MachineView):
    """All machines, a row each."""

    @extend_schema(
        operation_id="view_machines",
        summary="One row per machine: address, roles, state, last report",
        tags=["overview"],
        responses={200: {"type": "array", "items": MACHINE_ROW}},
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        return json_response(machine_rows())


class StatesView(MachineView):
    """What happened lately."""

    @extend_schema(
        operation_id="view_states",
        summary="Machines that did something in the last minutes, newest first",
        tags=["overview"],
        parameters=[
            OpenApiParameter(
                "data_since_last_min",
                int,
                description=f"Minutes to look back; {DEFAULT_MINUTES} when absent or empty.",
            )
        ],
        responses={200: {"type": "array", "items": STATE_ROW}},
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        return json_response(state_rows(minutes=_minutes(request)))


def _minutes(request: HttpRequest) -> int:
    text = request.GET.get("data_since_last_min") or str(DEFAULT_MINUTES)
    try:
        return int(text)
    except ValueError as error:
        raise InvalidInput(
            "data_since_last_min is not a whole number of minutes",
            fields={"data_since_last_min": "expected a whole number"},
        ) from error
