"""Middleware: refuse hostile paths first; sessions and CSRF only where there is a console."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware

from enjoliver.common.errors import InvalidInput
from enjoliver.common.http import error_response

GetResponse = Callable[[HttpRequest], HttpResponseBase]
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ENCODED_CONTROL = re.compile(r"%(?:[01][0-9a-f]|7f)", re.IGNORECASE)


def guard(get_response: GetResponse) -> GetResponse:
    """Refuse control characters in path and query before anything else looks at them.

    They reach views decoded (`%00`) and databases refuse or truncate them.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        query = request.META.get("QUERY_STRING", "")
        if (
            _CONTROL.search(request.path_info)
            or _CONTROL.search(query)
            or _ENCODED_CONTROL.search(query)
        ):
            return error_response(
                InvalidInput(
                    "control characters are not allowed in a path or query",
                    kind="control_characters",
                )
            )
        return get_response(request)

    return middleware


def _has_console_session(request: HttpRequest) -> bool:
    """The console itself, or an operator route called with the console's cookie."""
    return request.path_info.startswith("/admin") or bool(request.COOKIES)


class ConsoleSession(SessionMiddleware):
    """Django's, skipped on routes that machines call each minute."""

    def __call__(self, request: HttpRequest) -> Any:
        if _has_console_session(request):
            return super().__call__(request)
        return self.get_response(request)


class ConsoleAuthentication(AuthenticationMiddleware):
    """Django's, skipped where there is no session."""

    def __call__(self, request: HttpRequest) -> Any:
        if _has_console_session(request):
            return super().__call__(request)
        return self.get_response(request)


class ConsoleMessages(MessageMiddleware):
    """Django's, skipped where there is no session."""

    def __call__(self, request: HttpRequest) -> Any:
        if _has_console_session(request):
            return super().__call__(request)
        return self.get_response(request)


class ConsoleCsrf(CsrfViewMiddleware):
    """Django's, skipped where there is no session to protect."""

    def __call__(self, request: HttpRequest) -> Any:
        if _has_console_session(request):
            return super().__call__(request)
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *args: Any) -> Any:
        if _has_console_session(request):
            return super().process_view(request, *args)
        return None
