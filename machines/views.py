"""The discovery routes: a machine posts its facts, everybody may read them."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import extend_schema

from enjoliver.common.http import (
    MachineView,
    json_response,
    parse_json,
    read_body,
    text_response,
)
from machines import reads, schemas
from machines.discovery import parse_report, unreadable
from machines.services import record_discovery


class DiscoveryView(MachineView):
    """Facts of the machines."""

    @extend_schema(
        operation_id="report_discovery",
        summary="A machine reports its facts",
        tags=["discovery"],
        request={"application/json": schemas.REPORT},
        responses={200: schemas.RECORDED, 406: schemas.REFUSED},
    )
    def post(self, request: HttpRequest) -> HttpResponse:
        """Record one discovery document; safe to send again, also at once."""
        try:
            document = parse_json(read_body(request))
        except ValueError as error:
            raise unreadable(f"the body is not JSON: {error}"[:300]) from error
        recorded = record_discovery(report=parse_report(document))
        return json_response({"new-discovery": recorded.is_new})

    @extend_schema(
        operation_id="list_discoveries",
        summary="All machines with their facts",
        tags=["discovery"],
        responses={200: schemas.MACHINES},
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        """All machines, in the order of their first report."""
        return json_response(reads.discovery_rows())


class InterfacesView(MachineView):
    """Interfaces of all machines in one flat list."""

    @extend_schema(
        operation_id="list_interfaces",
        summary="All interfaces of all machines",
        tags=["discovery"],
        responses={200: schemas.INTERFACES},
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        """Each interface with its machine's UUID."""
        return json_response(reads.interface_rows())


class JournalsView(MachineView):
    """Boots whose Ignition journal is kept."""

    @extend_schema(
        operation_id="list_journals",
        summary="The boots known",
        tags=["discovery"],
        responses={200: schemas.JOURNALS},
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        """The boots of all machines, oldest first."""
        return json_response(reads.journal_rows())


class MachineJournalsView(MachineView):
    """Boots of one machine."""

    @extend_schema(
        operation_id="list_machine_journals",
        summary="The boots known of one machine",
        tags=["discovery"],
        responses={200: schemas.JOURNALS},
    )
    def get(self, request: HttpRequest, uuid: str) -> HttpResponse:
        """The boots of the machines with this UUID; 404 when there is none."""
        return json_response(reads.journal_rows(uuid))


class JournalView(MachineView):
    """The journal of one boot."""

    @extend_schema(
        operation_id="read_journal",
        summary="Ignition's journal of one boot",
        tags=["discovery"],
        responses={
            (200, "application/json"): schemas.JOURNAL,
            (200, "text/plain"): {"type": "string"},
        },
    )
    def get(self, request: HttpRequest, uuid: str, boot_id: str) -> HttpResponse:
        """The lines as JSON, or as text where the caller prefers it; 404 when unknown."""
        journal = reads.journal(uuid, boot_id)
        if request.get_preferred_type(["application/json", "text/plain"]) == "text/plain":
            return text_response("".join(f"{line}\n" for line in journal["lines"]), Vary="Accept")
        return json_response(journal, Vary="Accept")
