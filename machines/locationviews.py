"""/api/v1/locations: where machines stand; operators import lists of it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema

from enjoliver.common.bodies import MAX_PAGE, read_document, read_flag, read_query_number
from enjoliver.common.errors import InvalidInput
from enjoliver.common.http import OperatorView, json_response
from machines.locationfiles import COLUMNS, parse_rows
from machines.locations import locations_of
from machines.models import Machine
from machines.services import import_locations
from machines.topology import LEVELS, UNKNOWN

Schema = dict[str, Any]
_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "integer"}
_NAMES: Schema = {level.value: _TEXT for level in LEVELS}
_LIST = {
    "type": "object",
    "properties": {
        "items": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "mac": _TEXT,
                    "uuid": _TEXT,
                    **_NAMES,
                    "domains": {"type": "object", "properties": _NAMES},
                },
            },
        },
        "next": {"type": ["integer", "null"]},
    },
}
_IMPORT = {
    "type": "object",
    "properties": {
        "locations": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": dict.fromkeys(COLUMNS, _TEXT),
                "required": ["machine"],
            },
        },
        "replace": {
            "type": "boolean",
            "description": "The list is all there is: lines of former imports that it lacks go.",
        },
    },
    "required": ["locations"],
}
_RESULT = {
    "type": "object",
    "properties": {
        **dict.fromkeys(("added", "changed", "removed", "moved"), _NUMBER),
        "unknown": {"type": "array", "items": _TEXT},
    },
}
_MAX_KEY = 2**62


class LocationsView(OperatorView):
    """Where machines stand."""

    permission = "machines.change_importedlocation"

    @extend_schema(
        operation_id="locations_list",
        summary="Where machines stand: names of site, row, rack, chassis, and failure domains",
        parameters=[
            OpenApiParameter("limit", int, OpenApiParameter.QUERY),
            OpenApiParameter("after", int, OpenApiParameter.QUERY, description="`next` before."),
        ],
        responses={200: _LIST},
        tags=["placement"],
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        """In the order of their first report; "" where nothing tells."""
        limit = read_query_number(request, "limit", MAX_PAGE, MAX_PAGE)
        after = read_query_number(request, "after", 0, _MAX_KEY)
        rows = Machine.objects.filter(pk__gt=after).order_by("pk")
        found = list(rows.values_list("pk", "boot_mac", "uuid")[: limit + 1])
        page = found[:limit]
        places = locations_of([pk for pk, _, _ in page])
        items = []
        for pk, mac, uuid in page:
            place = places.get(pk, UNKNOWN)
            names = {level.value: getattr(place, level) for level in LEVELS}
            domains = {level.value: place.domain(level) for level in LEVELS}
            items.append({"mac": mac, "uuid": uuid, **names, "domains": domains})
        following = page[-1][0] if len(found) > limit and page else None
        return json_response({"items": items, "next": following})

    @extend_schema(
        operation_id="locations_import",
        summary="Take a list of where machines stand (operators)",
        request={"application/json": _IMPORT},
        responses={200: _RESULT},
        tags=["placement"],
    )
    def post(self, request: HttpRequest) -> HttpResponse:
        """A machine goes by MAC, UUID, serial number or name, and need not be there yet."""
        document = read_document(request, known=("locations", "replace"))
        rows = document.get("locations")
        if not isinstance(rows, list):
            raise InvalidInput("locations: a list is expected", fields={"locations": "a list"})
        result = import_locations(
            places=parse_rows(rows),
            actor=request.user.get_username(),
            is_whole=read_flag(document, "replace"),
        )
        return json_response(
            {
                "added": result.added,
                "changed": result.changed,
                "removed": result.removed,
                "moved": result.moved,
                "unknown": list(result.unknown),
            }
        )
