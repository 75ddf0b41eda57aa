"""Django's last answers (400, 403, 404, 500) in the one error shape; HTML for the console."""

from __future__ import annotations

import sys

from django.core.exceptions import DisallowedHost, RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views import defaults

from enjoliver.common.errors import (
    EngineError,
    Forbidden,
    InvalidInput,
    NotFound,
    Unavailable,
)
from enjoliver.common.http import error_response

TEXT_LIMIT = 200


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """400, or 413 when Django refused the size of the body."""
    if is_console(request):
        return defaults.bad_request(request, exception)
    if isinstance(exception, RequestDataTooBig):
        return error_response(
            InvalidInput("the body is too large", kind="body_too_large", status_code=413)
        )
    kind = "host_not_allowed" if isinstance(exception, DisallowedHost) else "bad_request"
    return error_response(InvalidInput(str(exception)[:TEXT_LIMIT] or "bad request", kind=kind))


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """403."""
    if is_console(request):
        return defaults.permission_denied(request, exception)
    return error_response(Forbidden(str(exception)[:TEXT_LIMIT] or "not allowed"))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponseBase:
    """403 for a console session without its CSRF token."""
    from django.views.csrf import csrf_failure as page

    if is_console(request):
        return page(request, reason)
    return error_response(Forbidden(reason[:TEXT_LIMIT], kind="csrf_failed"))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """404."""
    if is_console(request):
        return defaults.page_not_found(request, exception)
    return error_response(NotFound(f"nothing is at {request.path[:TEXT_LIMIT]}"))


def server_error(request: HttpRequest) -> HttpResponseBase:
    """500: a bug of ours; the log has the story, the caller gets no detail.

    But 503 while the database is away, which reaches us from the console's pages only.
    """
    if isinstance(sys.exc_info()[1], (OperationalError, InterfaceError)):
        return _database_away(request)
    if is_console(request):
        return defaults.server_error(request)
    return error_response(
        EngineError("the engine failed; its log says why", kind="internal_error", status_code=500)
    )


def _database_away(request: HttpRequest) -> HttpResponseBase:
    away = Unavailable(
        "the database does not answer; try again",
        kind="database_unavailable",
        headers={"Retry-After": "5"},
    )
    if not is_console(request):
        return error_response(away)
    page = f"<!doctype html><title>Enjoliver</title><h1>Away</h1><p>{away.value}.</p>"
    return HttpResponse(page, status=away.status_code, headers=away.headers)


def is_console(request: HttpRequest) -> bool:
    """True for pages of the console, whose readers are people."""
    return request.path_info.startswith("/admin")
