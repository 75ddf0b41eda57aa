"""/api/v1: rolling policies and freezes."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from drf_spectacular.utils import extend_schema

from enjoliver.common.bodies import read_document, read_text
from enjoliver.common.errors import InvalidInput
from enjoliver.common.http import OperatorView, json_response
from lifecycle.models import Freeze
from lifecycle.rolloutdocs import counted_policies, shown_freeze, shown_policy
from lifecycle.services import (
    Applied,
    add_freeze,
    apply_policy,
    delete_policy,
    freezes_in_force,
    lift_freeze,
)
from lifecycle.services.finding import find_freeze, find_policy
from lifecycle.services.policies import FIELDS
from lifecycle.views import rolloutschemas as schemas
from lifecycle.views.machines import read_moment, read_reason
from scheduling.models import Cluster

MAX_ROWS = 1000


def _answer(applied: Applied) -> HttpResponse:
    document = {**shown_policy(applied.policy), "advice": applied.advice}
    return json_response(document, 201 if applied.is_new else 200)


class PoliciesView(OperatorView):
    """All policies."""

    permission = "lifecycle.add_rollingpolicy"

    @extend_schema(
        operation_id="policies_list",
        summary="Rolling policies, those that count first",
        responses={200: schemas.POLICIES},
        tags=["rollouts"],
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        """With the number of machines that each one has now."""
        rows = counted_policies()[:MAX_ROWS]
        return json_response({"items": [shown_policy(row) for row in rows]})

    @extend_schema(
        operation_id="policies_apply",
        summary="Make a policy what the document says (operators)",
        request={"application/json": schemas.POLICY_WANTED},
        responses={200: schemas.POLICY, 201: schemas.POLICY},
        tags=["rollouts"],
    )
    def post(self, request: HttpRequest) -> HttpResponse:
        """Fields that it does not name get their defaults. 400 names every field that is wrong."""
        document = read_document(request, known=FIELDS)
        return _answer(apply_policy(document=document, actor=request.user.get_username()))


class PolicyView(OperatorView):
    """One policy."""

    permission = "lifecycle.change_rollingpolicy"

    @extend_schema(
        operation_id="policies_read",
        summary="One policy",
        responses={200: schemas.POLICY},
        tags=["rollouts"],
    )
    def get(self, request: HttpRequest, policy: str) -> HttpResponse:
        """By its name."""
        return json_response(shown_policy(find_policy(policy)))

    @extend_schema(
        operation_id="policies_change",
        summary="Change some fields of a policy (operators)",
        request={"application/json": schemas.POLICY_WANTED},
        responses={200: schemas.POLICY},
        tags=["rollouts"],
    )
    def patch(self, request: HttpRequest, policy: str) -> HttpResponse:
        """Fields that the document does not name stay as they are."""
        document = read_document(request, known=FIELDS)
        name = find_policy(policy).name
        if document.get("name", name) != name:
            raise InvalidInput("name: a policy keeps its name", fields={"name": "kept"})
        wanted: dict[str, Any] = {**document, "name": name}
        actor = request.user.get_username()
        return _answer(apply_policy(document=wanted, actor=actor, partial=True))

    @extend_schema(
        operation_id="policies_delete",
        summary="Remove a policy (operators)",
        responses={200: schemas.DELETED},
        tags=["rollouts"],
    )
    def delete(self, request: HttpRequest, policy: str) -> HttpResponse:
        """409 while it has an active rollout."""
        found = find_policy(policy)
        delete_policy(policy=found, actor=request.user.get_username())
        return json_response({"deleted": policy})


class FreezesView(OperatorView):
    """Freezes."""

    permission = "lifecycle.add_freeze"

    @extend_schema(
        operation_id="freezes_list",
        summary="Freezes in force",
        parameters=[schemas.ALL],
        responses={200: schemas.FREEZES},
        tags=["rollouts"],
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        """Newest first; with `all` also those that ended."""
        is_all = request.GET.get("all", "").lower() in ("1", "true")
        rows = Freeze.objects.all() if is_all else freezes_in_force(timezone.now())
        found = rows.select_related("cluster", "policy").order_by("-pk")[:MAX_ROWS]
        return json_response({"items": [shown_freeze(row) for row in found]})

    @extend_schema(
        operation_id="freezes_add",
        summary="Stop everything, one cluster, or one policy (operators)",
        request={"application/json": schemas.FREEZE_WANTED},
        responses={201: schemas.FREEZE},
        tags=["rollouts"],
    )
    def post(self, request: HttpRequest) -> HttpResponse:
        """Without cluster and policy it stops everything."""
        known = ("reason", "cluster", "policy", "ends_at")
        document = read_document(request, known=known)
        cluster, policy = read_text(document, "cluster"), read_text(document, "policy")
        freeze = add_freeze(
            reason=read_reason(document),
            actor=request.user.get_username(),
            cluster=_cluster(cluster) if cluster else None,
            policy=find_policy(policy) if policy else None,
            ends_at=read_moment(document, "ends_at"),
        )
        return json_response(shown_freeze(freeze), 201)


class FreezeView(OperatorView):
    """One freeze."""

    permission = "lifecycle.change_freeze"

    @extend_schema(
        operation_id="freezes_lift",
        summary="Lift a freeze (operators)",
        responses={200: schemas.FREEZE},
        tags=["rollouts"],
    )
    def delete(self, request: HttpRequest, freeze_id: str) -> HttpResponse:
        """Safe to repeat."""
        freeze = find_freeze(freeze_id)
        lift_freeze(freeze=freeze, actor=request.user.get_username())
        freeze.refresh_from_db()
        return json_response(shown_freeze(freeze))


def _cluster(name: str) -> Cluster:
    cluster = Cluster.objects.filter(name=name).first()
    if cluster is None:
        reason = f"there is no cluster {name[:64]!r}"
        raise InvalidInput(reason, fields={"cluster": reason})
    return cluster
