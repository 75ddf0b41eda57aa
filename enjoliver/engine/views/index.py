"""`/`: the list of routes; `/ui`: the way to the console; the OpenAPI document and its reader."""

from __future__ import annotations

import json
from functools import lru_cache

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from drf_spectacular.utils import OpenApiResponse, extend_schema

from enjoliver.common.http import MachineView, etag_response, json_response
from enjoliver.engine.openapi import openapi_document
from enjoliver.engine.routes import all_routes


@lru_cache(maxsize=1)
def _rules() -> list[str]:
    return [route.rule for route in all_routes()]


class IndexView(MachineView):
    """What can be asked here."""

    @extend_schema(
        operation_id="list_routes",
        summary="All routes, sorted; a browser is sent to the console",
        tags=["engine"],
        responses={
            200: {"type": "array", "items": {"type": "string"}},
            302: OpenApiResponse(description="To the console, when HTML is preferred."),
        },
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        if request.get_preferred_type(["application/json", "text/html"]) == "text/html":
            return HttpResponseRedirect(reverse("ui"), headers={"Vary": "Accept"})
        return json_response(_rules(), Vary="Accept")


class ConsoleView(MachineView):
    """The console's address; it asks for a name and a password itself."""

    @extend_schema(
        operation_id="open_console",
        summary="To the console",
        tags=["engine"],
        responses={302: OpenApiResponse(description="To the console.")},
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:index"))


class ApiDocsView(MachineView):
    """Swagger UI, from our own static files."""

    @extend_schema(
        operation_id="read_api_docs",
        summary="The API for people (Swagger UI)",
        tags=["engine"],
        responses={(200, "text/html"): {"type": "string"}},
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        return render(request, "engine/apidocs.html")


@lru_cache(maxsize=1)
def _document() -> bytes:
    return json.dumps(openapi_document(), sort_keys=True).encode()


class ApiSpecView(MachineView):
    """The OpenAPI document."""

    @extend_schema(
        operation_id="read_openapi",
        summary="The API for programs (OpenAPI 3)",
        tags=["engine"],
        responses={200: {"type": "object", "additionalProperties": True}},
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        return etag_response(request, _document(), content_type="application/json")
