"""/api/v1/placement and /api/v1/role-rules: where roles are, and what they ask of machines."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema

from enjoliver.common.bodies import read_document
from enjoliver.common.errors import InvalidInput, NotFound
from enjoliver.common.http import MachineView, OperatorView, json_response
from scheduling.models import Cluster
from scheduling.overview import read_loss, read_overview
from scheduling.placementdocs import loss_document, overview_document, rules_document
from scheduling.requirements import Requirements
from scheduling.roles import DEFAULT_CLUSTER
from scheduling.services import default_cluster, read_requirements, set_requirements

Schema = dict[str, Any]
_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "integer"}
_FLAG: Schema = {"type": "boolean"}
_COUNTS: Schema = {"type": "object", "additionalProperties": _NUMBER}
_MEMBER: Schema = {
    "type": "object",
    "properties": dict.fromkeys(("mac", "name", "site", "row", "rack", "chassis"), _TEXT),
}
_MEMBERS: Schema = {"type": "array", "items": _MEMBER}
_RULE: Schema = {
    "type": "object",
    "properties": {
        "selector": {"type": "object", "additionalProperties": _TEXT},
        **dict.fromkeys(("min_disk_bytes", "min_memory_bytes", "min_cpu_count", "spares"), _NUMBER),
        "count": {"type": ["integer", "null"]},
    },
}
_RULES: Schema = {"type": "object", "additionalProperties": _RULE}
_LEVEL: Schema = {
    "type": "object",
    "properties": {
        "score": _NUMBER,
        "domains": _COUNTS,
        "largest_loss": _NUMBER,
        "quorum_survives": _FLAG,
    },
}
_PLACEMENT: Schema = {
    "type": "object",
    "properties": {
        "cluster": _TEXT,
        "level": _TEXT,
        "score": _NUMBER,
        "spread": {"type": "object", "additionalProperties": _LEVEL},
        "control_plane": _MEMBERS,
        "nodes": _NUMBER,
        "nodes_by_domain": _COUNTS,
        "spares": _MEMBERS,
        "spares_wanted": _NUMBER,
        "waiting": _COUNTS,
        "rules": _RULES,
    },
}
_LOSS: Schema = {
    "type": "object",
    "properties": {
        "domain": _TEXT,
        "control_plane_lost": _MEMBERS,
        **dict.fromkeys(
            ("control_plane_left", "quorum", "nodes_lost", "nodes_left", "spares_lost"), _NUMBER
        ),
        "quorum_survives": _FLAG,
    },
}
_CLUSTER = OpenApiParameter("cluster", str, OpenApiParameter.QUERY)
_DOMAIN = OpenApiParameter(
    "domain",
    str,
    OpenApiParameter.QUERY,
    required=True,
    description="`site:dc1/rack:7`, or its last part.",
)


def asked_cluster(request: HttpRequest) -> Cluster:
    """The cluster that the query names, by default `default`; raises NotFound."""
    name = request.GET.get("cluster", DEFAULT_CLUSTER)
    if name == DEFAULT_CLUSTER:
        return default_cluster()
    cluster = Cluster.objects.filter(name=name).first()
    if cluster is None:
        raise NotFound(f"there is no cluster {name[:64]!r}")
    return cluster


class PlacementView(MachineView):
    """Where the roles of a cluster are."""

    @extend_schema(
        operation_id="placement_read",
        summary="Control plane and its spread, nodes, spares, who waits",
        parameters=[_CLUSTER],
        responses={200: _PLACEMENT},
        tags=["placement"],
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        """`score`: the share of pairs of members that fail apart at `level`, in per cent."""
        return json_response(overview_document(read_overview(asked_cluster(request))))


class LossView(MachineView):
    """What if a rack dies?"""

    @extend_schema(
        operation_id="placement_loss",
        summary="What the failure of a failure domain would take away",
        parameters=[_CLUSTER, _DOMAIN],
        responses={200: _LOSS},
        tags=["placement"],
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        """Changes nothing. A domain that nobody stands in takes nothing away."""
        domain = request.GET.get("domain", "")
        if not domain:
            raise InvalidInput("domain: required", fields={"domain": "required"})
        return json_response(loss_document(read_loss(asked_cluster(request), domain)))


class RoleRulesView(MachineView):
    """What all roles ask of machines."""

    @extend_schema(
        operation_id="role_rules_list",
        summary="What each role asks of a machine, how many it wants, how many are kept free",
        parameters=[_CLUSTER],
        responses={200: _RULES},
        tags=["placement"],
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        """By role: `control-plane` and `node`."""
        return json_response(rules_document(read_requirements(asked_cluster(request))))


class RoleRuleView(OperatorView):
    """What one role asks of machines."""

    permission = "scheduling.change_rolerule"

    @extend_schema(
        operation_id="role_rules_change",
        summary="Change what a role asks for (operators)",
        parameters=[_CLUSTER],
        request={"application/json": _RULE},
        responses={200: _RULE},
        tags=["placement"],
    )
    def post(self, request: HttpRequest, rule_role: str) -> HttpResponse:
        """Only the keys that are sent; machines that have the role keep it."""
        cluster = asked_cluster(request)
        document = read_document(request, known=tuple(Requirements.__dataclass_fields__))
        actor = request.user.get_username()
        set_requirements(cluster=cluster, role=rule_role, actor=actor, **document)
        return json_response(rules_document(read_requirements(cluster))[rule_role])
