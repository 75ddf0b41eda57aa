"""Plans and pending changes: what would change, and whether it may."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import extend_schema

from enjoliver.common.errors import InvalidInput, NotFound
from enjoliver.common.hints import hint
from enjoliver.common.http import MachineView, OperatorView, json_response
from matchbox_sync.advice import advised
from matchbox_sync.models import PendingChange, PlanRun
from matchbox_sync.revisiondocs import change_document, plan_document
from matchbox_sync.services import approve_change, read_result, reject_change, request_plan
from matchbox_sync.tasks import run_plans
from matchbox_sync.views import schemas
from matchbox_sync.views.common import (
    asked_cluster,
    read_number,
    read_object,
    read_page,
    read_reason,
)


class PlanView(OperatorView):
    """Asking for a plan."""

    permission = "matchbox_sync.add_planrun"

    @extend_schema(
        operation_id="plan_request",
        summary="What would a change do to which machines (operators)",
        request={"application/json": schemas.PLAN_REQUEST},
        responses={202: schemas.PLAN_RUN},
        tags=["revisions"],
    )
    def post(self, request: HttpRequest) -> HttpResponse:
        """A worker makes it; its progress and result are at the answer's `Location`."""
        document = read_object(request)
        name = document.pop("cluster", None)
        if name is not None and not isinstance(name, str):
            raise InvalidInput("cluster: expected a name")
        run = request_plan(
            cluster=asked_cluster(name), request=document, actor=request.user.get_username()
        )
        hint(run_plans, delay_seconds=0.1)
        return json_response(plan_document(run, None), 202, Location=f"/api/v1/plan/{run.pk}")


class PlanRunView(MachineView):
    """A plan that was asked for."""

    @extend_schema(
        operation_id="plan_read",
        summary="A requested plan: its progress, and when it is done its result",
        responses={200: schemas.PLAN_RUN},
        tags=["revisions"],
    )
    def get(self, request: HttpRequest, plan_id: str) -> HttpResponse:
        """`plan` is null until `state` is `done`."""
        number = read_number(plan_id, "plan")
        run = PlanRun.objects.select_related("cluster").filter(pk=number).first()
        if run is None:
            raise NotFound(f"there is no plan {number}")
        result = read_result(run)
        return json_response(plan_document(run, advised(result) if result else None))


def _change(change_id: str) -> PendingChange:
    number = read_number(change_id, "pending change")
    rows = PendingChange.objects.select_related("cluster", "revision")
    change = rows.filter(pk=number).first()
    if change is None:
        raise NotFound(f"there is no pending change {number}")
    return change


class PendingChangesView(MachineView):
    """Changes that somebody must decide on, or did."""

    @extend_schema(
        operation_id="pending_changes_list",
        summary="Changes that wait for a decision, and those decided, newest first",
        parameters=[schemas.CLUSTER, schemas.LIMIT, schemas.AFTER],
        responses={200: schemas.CHANGES},
        tags=["revisions"],
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        """`is_open` says that it still decides what the sync does."""
        cluster = asked_cluster(request.GET.get("cluster"))
        rows = PendingChange.objects.filter(cluster=cluster).select_related("cluster", "revision")
        page, after = read_page(request, rows)
        return json_response({"items": [change_document(row) for row in page], "next": after})


class PendingChangeView(MachineView):
    """One such change."""

    @extend_schema(
        operation_id="pending_changes_read",
        summary="One change that waits or was decided",
        responses={200: schemas.CHANGE},
        tags=["revisions"],
    )
    def get(self, request: HttpRequest, change_id: str) -> HttpResponse:
        """What it would do says a plan: `{"pending": id}`."""
        return json_response(change_document(_change(change_id)))


class DecisionView(OperatorView):
    """Deciding on a change."""

    permission = "matchbox_sync.change_pendingchange"

    @extend_schema(
        operation_id="pending_changes_decide",
        summary="Approve or reject a change (operators)",
        request={"application/json": schemas.REASON},
        responses={200: schemas.CHANGE},
        tags=["revisions"],
    )
    def post(self, request: HttpRequest, change_id: str, decision: str) -> HttpResponse:
        """`decision` is `approve` or `reject`; 409 when somebody decided meanwhile."""
        decide = {"approve": approve_change, "reject": reject_change}.get(decision)
        if decide is None:
            raise NotFound("a change is approved or rejected, and nothing else")
        reason = read_reason(request)
        change = decide(change=_change(change_id), actor=request.user.get_username(), reason=reason)
        return json_response(change_document(change))
