"""Revisions: what came when and why, what lies between them, going back."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import extend_schema

from enjoliver.common.errors import InvalidInput
from enjoliver.common.http import MachineView, OperatorView, json_response
from machines.lookup import find_named_machine
from matchbox_sync.models import DesiredConfig, Revision
from matchbox_sync.revisiondocs import machine_documents, revision_document
from matchbox_sync.services import compare_revisions, find_revision, roll_back
from matchbox_sync.views import schemas
from matchbox_sync.views.common import asked_cluster, read_number, read_page, read_reason


def _revision(request: HttpRequest, number: str) -> Revision:
    cluster = asked_cluster(request.GET.get("cluster"))
    return find_revision(cluster, read_number(number, "revision"))


class RevisionsView(MachineView):
    """All revisions of a cluster."""

    @extend_schema(
        operation_id="revisions_list",
        summary="Revisions of the configuration, newest first",
        parameters=[schemas.CLUSTER, schemas.LIMIT, schemas.AFTER],
        responses={200: schemas.REVISIONS},
        tags=["revisions"],
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        """Without their values."""
        cluster = asked_cluster(request.GET.get("cluster"))
        rows = Revision.objects.filter(cluster=cluster).select_related("cluster")
        page, after = read_page(request, rows, column="number")
        return json_response({"items": [revision_document(row) for row in page], "next": after})


class RevisionView(MachineView):
    """One revision."""

    @extend_schema(
        operation_id="revisions_read",
        summary="One revision, with the values that it was made of",
        parameters=[schemas.CLUSTER],
        responses={200: schemas.REVISION},
        tags=["revisions"],
    )
    def get(self, request: HttpRequest, number: str) -> HttpResponse:
        """With its values and the fingerprints of its profiles."""
        return json_response(revision_document(_revision(request, number), with_values=True))


class RevisionDiffView(MachineView):
    """What lies between two revisions for one machine."""

    @extend_schema(
        operation_id="revisions_diff",
        summary="What one machine's config has in `number` and has not in `other`, and back",
        parameters=[schemas.CLUSTER, schemas.MACHINE],
        responses={200: schemas.PLAN},
        tags=["revisions"],
    )
    def get(self, request: HttpRequest, other: str, number: str) -> HttpResponse:
        """For all machines ask for a plan: `{"compare": [other, number]}`."""
        text = request.GET.get("machine", "")
        if not text:
            raise InvalidInput("machine: required; for all machines POST /api/v1/plan")
        pair = _revision(request, other), _revision(request, number)
        machine = find_named_machine(text)
        plan = compare_revisions(old=pair[0], new=pair[1], machine_ids=[machine.pk])
        return json_response(plan.to_json())


class RollbackView(OperatorView):
    """Going back to an earlier revision."""

    permission = "matchbox_sync.add_revision"

    @extend_schema(
        operation_id="revisions_rollback",
        summary="Make this revision's content the one in force again (operators)",
        parameters=[schemas.CLUSTER],
        request={"application/json": schemas.REASON},
        responses={200: schemas.REVISION},
        tags=["revisions"],
    )
    def post(self, request: HttpRequest, number: str) -> HttpResponse:
        """Body `{"reason": text}`; answers with the new revision. 409 when it cannot be had."""
        reason = read_reason(request, is_required=True)
        revision = _revision(request, number)
        made = roll_back(
            cluster=revision.cluster,
            revision=revision,
            actor=request.user.get_username(),
            reason=reason,
        )
        return json_response(revision_document(made))


class DesiredView(MachineView):
    """Which revision each machine runs and shall run."""

    @extend_schema(
        operation_id="desired_list",
        summary="Running, desired, newest and previous revision of each machine",
        parameters=[schemas.CLUSTER, schemas.LIMIT, schemas.AFTER],
        responses={200: schemas.MACHINES},
        tags=["revisions"],
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        """Machines that have a config; `running` is null when no stored revision holds it."""
        cluster = asked_cluster(request.GET.get("cluster"))
        rows = DesiredConfig.objects.filter(config__revision__cluster=cluster).only("pk")
        page, after = read_page(request, rows)
        documents = machine_documents([row.pk for row in page])
        return json_response({"items": documents[::-1], "next": after})
