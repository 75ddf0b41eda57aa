"""The scheduler's routes: operators give roles, everybody may read who has which."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import extend_schema

from enjoliver.common.addresses import normalise_mac
from enjoliver.common.errors import InvalidInput
from enjoliver.common.http import (
    MachineView,
    OperatorView,
    json_response,
    parse_json,
    read_body,
)
from machines.lookup import find_machine
from scheduling import reads, schemas
from scheduling.documents import parse_role_request, unacceptable
from scheduling.services import assign_roles


class SchedulerView(OperatorView):
    """Who has which roles; an operator may give some."""

    permission = "scheduling.add_assignment"

    @extend_schema(
        operation_id="assign_roles",
        summary="Give roles to a machine",
        tags=["scheduler"],
        request={"application/json": schemas.REQUEST},
        responses={
            200: schemas.ECHO,
            401: schemas.ERROR,
            403: schemas.ERROR,
            404: schemas.ERROR,
            406: schemas.REFUSED,
            409: schemas.ERROR,
        },
    )
    def post(self, request: HttpRequest) -> HttpResponse:
        """Roles are added to those that the machine has; the same request again changes nothing."""
        body = read_body(request)
        try:
            document = parse_json(body)
        except ValueError as error:
            raise unacceptable(f"the body is not JSON: {error}"[:300]) from error
        asked = parse_role_request(document)
        machine = find_machine(asked.query)
        if asked.roles:
            actor = request.user.get_username()
            assign_roles(machine=machine, roles=asked.roles, actor=actor)
        return HttpResponse(body, content_type="application/json")

    @extend_schema(
        operation_id="list_roles",
        summary="Roles by boot MAC",
        tags=["scheduler"],
        parameters=[schemas.MAC],
        responses={200: schemas.SCHEDULE, 400: schemas.ERROR},
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        """Machines with a role; with `mac` that machine only, `{}` while it has none."""
        if "mac" not in request.GET:
            return json_response(reads.roles_by_mac())
        try:
            mac = normalise_mac(request.GET["mac"])
        except ValueError as error:
            raise InvalidInput(f"mac: {error}", fields={"mac": str(error)}) from error
        return json_response(reads.roles_by_mac(reads.assignments_of_mac(mac)))


class AvailableView(MachineView):
    """Machines without a role."""

    @extend_schema(
        operation_id="list_available_machines",
        summary="Machines without a role",
        tags=["scheduler"],
        responses={200: schemas.AVAILABLE},
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        """Oldest first, with the facts of their boot interface."""
        return json_response(reads.available_machines())


class HoldersView(MachineView):
    """Machines that hold a role, or exactly a set of roles."""

    @extend_schema(
        operation_id="list_role_holders",
        summary="Machines that hold a role",
        tags=["scheduler"],
        parameters=[schemas.ROLE],
        responses={200: schemas.HOLDERS},
    )
    def get(self, request: HttpRequest, role: str) -> HttpResponse:
        """Their pinned facts, oldest machine first; an unknown role has no holders."""
        return json_response(reads.role_holders(role))


class AddressesView(MachineView):
    """Addresses of the holders of one role."""

    @extend_schema(
        operation_id="list_role_addresses",
        summary="Pinned addresses of a role's holders",
        tags=["scheduler"],
        parameters=[schemas.ROLE],
        responses={200: schemas.ADDRESSES},
    )
    def get(self, request: HttpRequest, role: str) -> HttpResponse:
        """In numeric order, the same as in the machines' metadata."""
        return json_response(reads.role_addresses(role))
