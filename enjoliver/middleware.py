"""Middleware: refuse hostile paths first; sessions and CSRF only where there is a console."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.request import split_domain_port, validate_host
from django.http.response import HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware
from django_prometheus.middleware import PrometheusAfterMiddleware

from enjoliver.common.errors import EngineError, InvalidInput
from enjoliver.common.http import error_response

GetResponse = Callable[[HttpRequest], HttpResponseBase]
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def guard(get_response: GetResponse) -> GetResponse:
    """Refuse what no route may see: control characters, foreign host names, a bad length.

    Control characters reach views decoded (`%00`), once more after a second decoding (`%2500` in
    a raw query), and databases refuse or truncate them.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        refusal = refuse(request)
        answer = error_response(refusal) if refusal else get_response(request)
        return _framed(request, answer)

    return middleware


def _framed(request: HttpRequest, answer: HttpResponseBase) -> HttpResponseBase:
    """`answer` with its length, and for HEAD without its body (RFC 9110 §9.3.2).

    With a length no server needs chunks, which old firmware reads badly or not at all.
    """
    is_head = request.method == "HEAD"
    if isinstance(answer, StreamingHttpResponse):
        if is_head:
            answer.streaming_content = ()
    elif isinstance(answer, HttpResponse):
        if answer.status_code != 304:
            answer.setdefault("Content-Length", str(len(answer.content)))
        if is_head:
            answer.content = b""
    return answer


def refuse(request: HttpRequest) -> EngineError | None:
    """The reason why `request` is not even looked at, or None."""
    if _has_control(request.path_info) or _has_control(request.META.get("QUERY_STRING", "")):
        return InvalidInput(
            "control characters are not allowed in a path or query", kind="control_characters"
        )
    if not host_is_allowed(request.META.get("HTTP_HOST", ""), tuple(settings.ALLOWED_HOSTS)):
        return InvalidInput(
            "this host name is not one of the engine's; add it to ENJOLIVER_ALLOWED_HOSTS",
            kind="host_not_allowed",
        )
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not (length.isascii() and length.isdigit()):
        return InvalidInput("Content-Length is not a number", kind="bad_content_length")
    return None


@lru_cache(maxsize=1024)
def host_is_allowed(host: str, allowed: tuple[str, ...]) -> bool:
    """True for our own names and for any address.

    A page of another site can make an operator's browser ask us under that site's *name* (DNS
    rebinding), never under an address. Machines and probes may use any address we listen on.
    """
    if not host:
        return True
    domain, _ = split_domain_port(host)
    return bool(domain) and (_is_address(domain.strip("[]")) or validate_host(domain, allowed))


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _has_control(text: str) -> bool:
    return bool(_CONTROL.search(text) or ("%" in text and _CONTROL.search(_decoded(text))))


def _decoded(text: str) -> str:
    """`text` with its percent escapes decoded until there are none left, at most three times."""
    for _ in range(3):
        text, before = unquote(text), text
        if text == before:
            break
    return text


class RequestMetrics(PrometheusAfterMiddleware):  # type: ignore[misc]
    """django-prometheus, with a bounded set of label values.

    Its latency histogram takes the method as the caller wrote it: each new word would be a new
    time series, kept for ever.
    """

    def label_metric(self, metric: Any, request: Any, response: Any = None, **labels: Any) -> Any:
        """Replace an unknown method by one word for all."""
        if "method" in labels:
            labels["method"] = self._method(request)
        return super().label_metric(metric, request, response, **labels)


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
