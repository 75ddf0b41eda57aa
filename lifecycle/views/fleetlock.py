"""FleetLock: the two operations of the protocol.

https://coreos.github.io/zincati/development/fleetlock/protocol/
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import extend_schema

from enjoliver.common.http import MachineView, json_response, read_body
from lifecycle.fleetlock import HEADER, ClientIdentity, read_identity
from lifecycle.services import lock_slot, unlock_slot
from lifecycle.views import schemas

_BODY = {"application/json": schemas.LOCK_REQUEST}


class PreRebootView(MachineView):
    """RecursiveLock."""

    @extend_schema(
        operation_id="fleetlock_pre_reboot",
        summary="Take a slot; the same holder may take it again",
        parameters=[schemas.PROTOCOL],
        request=_BODY,
        responses=schemas.json_answers({200: schemas.LOCKED}, 400, 409, 413, 503),
        tags=["fleetlock"],
    )
    def post(self, request: HttpRequest) -> HttpResponse:
        """200 when the client holds a slot now, 409 when all are held by others."""
        lock_slot(identity=_identity(request))
        return json_response({})


class SteadyStateView(MachineView):
    """UnlockIfHeld."""

    @extend_schema(
        operation_id="fleetlock_steady_state",
        summary="Free the slot, if the client holds one",
        parameters=[schemas.PROTOCOL],
        request=_BODY,
        responses=schemas.json_answers({200: schemas.LOCKED}, 400, 413, 503),
        tags=["fleetlock"],
    )
    def post(self, request: HttpRequest) -> HttpResponse:
        """200 when the client holds no slot now, also when it held none before."""
        unlock_slot(identity=_identity(request))
        return json_response({})


def _identity(request: HttpRequest) -> ClientIdentity:
    return read_identity(request.headers.get(HEADER), read_body(request))
