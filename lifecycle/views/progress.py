"""What agents say that they do and wait for."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import extend_schema

from enjoliver.common.errors import InvalidInput
from enjoliver.common.http import MachineView, json_response, parse_json, read_body
from enjoliver.common.times import rfc3339
from lifecycle.models import AgentProgress
from lifecycle.progress import MAX_BODY_BYTES, read_said
from lifecycle.services import record_progress
from lifecycle.views import schemas
from lifecycle.views.common import find_asking_machine, machine_part, with_boot_interface


class ProgressView(MachineView):
    """One machine's agent."""

    @extend_schema(
        operation_id="agent_progress",
        summary="Say what the agent does, or waits for",
        description="Kept as the machine's newest word on this verb; a new kind of step or reason "
        "is an event on its timeline, a bounded number of times an hour. `since` is by the "
        "machine's clock. Nothing depends on it: an agent that says nothing is served alike.",
        parameters=[schemas.RAW_QUERY],
        request={"application/json": schemas.SAID},
        responses=schemas.json_answers({200: schemas.NOTED}, 400, 404, 409, 413),
        tags=["lifecycle"],
    )
    def post(self, request: HttpRequest, raw_query: str) -> HttpResponse:
        """Keep it."""
        machine = find_asking_machine(raw_query)
        try:
            document = parse_json(read_body(request, limit=MAX_BODY_BYTES))
        except ValueError as error:
            raise InvalidInput(str(error)[:200], kind="invalid_progress") from error
        record_progress(machine=machine, said=read_said(document))
        return json_response({"message": "Noted"})


class ProgressListView(MachineView):
    """All agents."""

    @extend_schema(
        operation_id="agent_progress_list",
        summary="The newest word of each machine's agent, by verb",
        responses=schemas.json_answers({200: schemas.PROGRESS}),
        tags=["lifecycle"],
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        """`since` is by the machine's clock where that is plausible, `seen` by the engine's."""
        columns = ("verb", "step", "reason", "since_at", "seen_at", "boot_id", "agent_version")
        rows = with_boot_interface(AgentProgress.objects.all(), *columns)
        rows = rows.order_by("machine__created_at", "machine_id", "verb")
        return json_response([_row(row) for row in rows])


def _row(row: dict[str, Any]) -> dict[str, Any]:
    return {
        **machine_part(row),
        "verb": row["verb"],
        "step": row["step"],
        "reason": row["reason"],
        "since": rfc3339(row["since_at"]),
        "seen": rfc3339(row["seen_at"]),
        "boot_id": row["boot_id"],
        "version": row["agent_version"],
    }
