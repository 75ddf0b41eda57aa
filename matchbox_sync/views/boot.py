"""What machines fetch while they boot: scripts, Ignition, metadata.

Served from verified content; matchbox is asked only for what the engine does not hold. With
10,000 groups one answer of matchbox takes half a second, and a power cut brings all machines back
at once.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from urllib.parse import parse_qsl

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema

from enjoliver.common.errors import (
    BadGateway,
    EngineError,
    IdentityConflict,
    InvalidInput,
    NotFound,
    Unavailable,
)
from enjoliver.common.http import MachineView, etag_response, text_response
from enjoliver.common.rawquery import MachineQuery, query_from_params
from machines.services import record_boot
from matchbox_sync import held
from matchbox_sync.ipxe import DISK_BOOT_SCRIPT, bootstrap_script
from matchbox_sync.membership import present_membership
from matchbox_sync.metadata import metadata_text
from matchbox_sync.upstream import ask_matchbox

logger = logging.getLogger(__name__)

_TEXT = {(200, "text/plain"): OpenApiTypes.STR}
_ERROR = {(404, "application/json"): OpenApiTypes.OBJECT}
_QUERY = [
    OpenApiParameter("mac", str, description="MAC address, any common spelling."),
    OpenApiParameter("uuid", str, description="SMBIOS UUID."),
    OpenApiParameter("os", str, description="`installed` for the installed system's config."),
]


@dataclass(frozen=True, slots=True)
class BootQuery:
    """A boot route's query, read as matchbox reads it: the first value of a key counts.

    Without a usable identity `machine` is None and `fault` says why.
    """

    raw: str
    params: dict[str, str]
    machine: MachineQuery | None
    fault: InvalidInput | None = None

    @property
    def wants_role(self) -> bool:
        """Whether the query selects a role's group (`os=installed` beside the MAC)."""
        return self.params.get("os") == "installed"


def read_query(request: HttpRequest) -> BootQuery:
    """Read the query string. An unparsable MAC is no MAC, as for matchbox."""
    raw = request.META.get("QUERY_STRING", "")
    if len(raw) > 4096:
        raise InvalidInput("the query is longer than 4096 characters")
    params: dict[str, str] = {}
    for key, value in parse_qsl(raw, keep_blank_values=True, errors="replace"):
        params.setdefault(key, value)
    try:
        return BootQuery(raw, params, query_from_params(raw, params))
    except InvalidInput as fault:
        return BootQuery(raw, params, None, fault)


def _asker(query: BootQuery) -> held.Asker | None:
    if query.machine is None:
        # What is no UUID is not the role holder's: discovery for everybody, a role for nobody.
        if query.wants_role and query.fault and "uuid" in query.fault.fields:
            raise query.fault
        return None
    try:
        return held.find_asker(query.machine.mac, query.machine.uuid)
    except IdentityConflict:
        # A new mainboard behind known NICs: it may discover itself, and gets nobody's role.
        if query.wants_role:
            raise
        return None


def _proxy(path: str, query: BootQuery) -> HttpResponse:
    status, body = ask_matchbox(path, query.raw)
    if status == 404:
        raise NotFound("matchbox has nothing for this query", kind="no_matching_group")
    return HttpResponse(body, status=status, content_type="text/plain; charset=utf-8")


class BootIpxeView(MachineView):
    """The first script of every network boot."""

    @extend_schema(operation_id="boot_ipxe", responses=_TEXT, tags=["boot"])
    def get(self, request: HttpRequest) -> HttpResponse:
        """Retry DHCP, then chain to /ipxe. No database, no matchbox."""
        return text_response(bootstrap_script(settings.API_URI))


class IpxeView(MachineView):
    """matchbox's script for a machine, or the one that boots its disk."""

    @extend_schema(
        operation_id="ipxe", parameters=_QUERY, responses={**_TEXT, **_ERROR}, tags=["boot"]
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        """The script; 404 sends iPXE to its next boot device."""
        query = read_query(request)
        _note_boot(query)
        try:
            return self._script(query)
        except BadGateway as error:
            raise NotFound("404", kind="matchbox_unreachable") from error

    def _script(self, query: BootQuery) -> HttpResponse:
        asker = _asker(query)
        if asker and query.wants_role and asker.profile:
            own = held.machine_script(asker.machine_id) if asker.is_ready else None
            if own is None:
                raise _out_of_sync()
            return text_response(own)
        if asker and asker.is_installed and settings.DISK_BOOT and not query.wants_role:
            return text_response(DISK_BOOT_SCRIPT)
        script = held.discovery_script()
        return text_response(script) if script else _proxy("/ipxe", query)


def _note_boot(query: BootQuery) -> None:
    """Record that the machine boots. A database that takes no writes must not stop the boot."""
    if query.machine is None:
        return
    try:
        record_boot(query=query.machine)
    except (OperationalError, InterfaceError) as error:
        logger.warning("the boot of %s was not recorded: %s", query.machine.mac, error)


def _out_of_sync() -> Unavailable:
    return Unavailable("matchbox is out of sync", kind="out_of_sync", headers={"Retry-After": "5"})


class IgnitionView(MachineView):
    """A machine's Ignition, exactly as matchbox renders it."""

    is_gated = True

    @extend_schema(
        operation_id="ignition",
        parameters=_QUERY,
        responses={
            (200, "text/plain"): OpenApiTypes.STR,
            304: None,
            (404, "application/json"): OpenApiTypes.OBJECT,
            (409, "application/json"): OpenApiTypes.OBJECT,
            (502, "application/json"): OpenApiTypes.OBJECT,
            (503, "application/json"): OpenApiTypes.OBJECT,
        },
        tags=["boot"],
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        """The verified config of a role holder that asks with `os=installed`, else discovery's."""
        query = read_query(request)
        asker = _asker(query)
        if asker and asker.profile and query.wants_role:
            own = held.machine_document(asker.machine_id) if asker.is_ready else None
            if own is not None:
                return _ignition(request, *own)
            if self.is_gated:
                raise _out_of_sync()
        return self._discovery(request, query)

    def _discovery(self, request: HttpRequest, query: BootQuery) -> HttpResponse:
        if self.is_gated and held.gate_timestamp() is None:
            raise _out_of_sync()
        content = held.discovery_content()
        if content is None:
            return _proxy("/ignition", query)
        return _ignition(request, content.sha512, content.body)


def _ignition(request: HttpRequest, sha512: str, body: bytes) -> HttpResponse:
    return etag_response(request, body, content_type="text/plain; charset=utf-8", etag=sha512)


class IgnitionPxeView(IgnitionView):
    """The same without the sync gate: a machine must always be able to discover itself."""

    is_gated = False

    @extend_schema(
        operation_id="ignition_pxe",
        parameters=_QUERY,
        responses={
            (200, "text/plain"): OpenApiTypes.STR,
            304: None,
            (404, "application/json"): OpenApiTypes.OBJECT,
            (502, "application/json"): OpenApiTypes.OBJECT,
        },
        tags=["boot"],
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        """As /ignition, never 503. While the database is away matchbox answers instead."""
        try:
            return super().get(request)
        except DatabaseError:
            return _proxy("/ignition", read_query(request))


class MetadataView(MachineView):
    """The values of a machine's group as `KEY=value` lines."""

    @extend_schema(
        operation_id="metadata",
        parameters=_QUERY,
        responses={**_TEXT, 304: None, **_ERROR, (502, "application/json"): OpenApiTypes.OBJECT},
        tags=["boot"],
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        """Sorted lines; membership (member and endpoint lists) is always the present one."""
        query = read_query(request)
        try:
            asker = _asker(query)
        except EngineError:
            asker = None
        is_asked = asker is not None and asker.is_ready and query.wants_role
        own = held.machine_metadata(asker.machine_id) if asker and is_asked else None
        if own is not None:
            cluster_id, mac, metadata = own
            metadata |= present_membership(cluster_id)
            selector = {"mac": mac, "os": "installed"}
        else:
            content = held.discovery_content()
            if content is None:
                return _proxy("/metadata", query)
            metadata, selector = content.metadata, {}
        text = metadata_text(metadata, selector=selector, raw_query=query.raw)
        return etag_response(request, text.encode(), content_type="text/plain; charset=utf-8")
