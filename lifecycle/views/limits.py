"""/api/v1: the install queue and its limits."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import extend_schema

from enjoliver.common.bodies import read_document, read_text
from enjoliver.common.http import MachineView, OperatorView, json_response
from lifecycle.machinedocs import limits_document, queue_document
from lifecycle.services import remove_limit, set_limit
from lifecycle.views import machineschemas as schemas


class InstallQueueView(MachineView):
    """Who installs, who waits."""

    @extend_schema(
        operation_id="install_queue",
        summary="Machines that install and machines that wait, the next one first",
        responses={200: schemas.QUEUE},
        tags=["machines"],
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        """With the site, rack and asset server whose places they take."""
        return json_response(queue_document())


class InstallLimitsView(OperatorView):
    """How many may install at once."""

    permission = "lifecycle.change_installlimit"

    @extend_schema(
        operation_id="install_limits_list",
        summary="How many machines may install at once, by site, rack and asset server",
        responses={200: schemas.LIMITS},
        tags=["machines"],
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        """An empty `name` is each one without a limit of its own."""
        return json_response(limits_document())

    @extend_schema(
        operation_id="install_limits_change",
        summary="Set a limit, or take it away with `concurrency` null (operators)",
        request={"application/json": schemas.LIMIT},
        responses={200: schemas.LIMITS},
        tags=["machines"],
    )
    def post(self, request: HttpRequest) -> HttpResponse:
        """Installs that go on are not stopped."""
        document = read_document(request, known=("scope", "name", "concurrency"))
        scope, name = read_text(document, "scope"), read_text(document, "name")
        actor, concurrency = request.user.get_username(), document.get("concurrency")
        if concurrency is None:
            remove_limit(scope=scope, name=name, actor=actor)
        else:
            set_limit(scope=scope, name=name, concurrency=concurrency, actor=actor)
        return json_response(limits_document())
