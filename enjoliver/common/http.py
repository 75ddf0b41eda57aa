"""The HTTP edges' common part: two view classes, one error shape, one way to read a body.

`MachineView`: routes that machines and readers call without credentials. `OperatorView`: routes
that change intent. Both are DRF `APIView`s, so that OpenAPI knows them, but answer plain Django
requests: machines send JSON with any content type, and DRF's parsing, negotiation and
authentication cost a third of the report path (see docs/decisions/0003-plain-dispatch.md).
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import logging
from collections.abc import Callable
from functools import lru_cache
from typing import Any, ClassVar

from django.conf import settings
from django.db import DataError, InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from gunicorn.http.errors import ParseException  # type: ignore[import-untyped]
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView, exception_handler

from enjoliver.common.errors import (
    EngineError,
    Forbidden,
    InvalidInput,
    NotAuthenticated,
    Unavailable,
)

logger = logging.getLogger(__name__)
MAX_BODY_BYTES = 8 * 1024 * 1024


def json_response(data: Any, status: int = 200, **headers: str) -> JsonResponse:
    """Any JSON value as an answer."""
    return JsonResponse(data, status=status, safe=False, headers=headers)


def text_response(text: str | bytes, status: int = 200, **headers: str) -> HttpResponse:
    """Plain text as an answer."""
    return HttpResponse(
        text, status=status, content_type="text/plain; charset=utf-8", headers=headers
    )


def error_response(error: EngineError) -> HttpResponse:
    """The answer for an expected failure, in the one error shape."""
    return json_response(error.as_json(), error.status_code, **error.headers)


def etag_response(
    request: HttpRequest, body: bytes, *, content_type: str, etag: str = ""
) -> HttpResponse:
    """`body` with a strong ETag, or 304 when `If-None-Match` names it (RFC 9110 §13.1.2)."""
    tag = f'"{etag or hashlib.sha256(body).hexdigest()}"'
    asked = [
        part.strip().removeprefix("W/")
        for part in request.headers.get("If-None-Match", "").split(",")
    ]
    if tag in asked or "*" in asked:
        return not_modified(ETag=tag)
    return HttpResponse(body, content_type=content_type, headers={"ETag": tag})


def not_modified(**headers: str) -> HttpResponse:
    """304. Without a type: caches would take it for that of what they hold (RFC 9111 §3.2)."""
    answer = HttpResponse(status=304, headers=headers)
    del answer["Content-Type"]
    return answer


def read_body(request: HttpRequest, *, limit: int = MAX_BODY_BYTES) -> bytes:
    """The raw body, also one that came in chunks, without a length.

    Raises InvalidInput: 413 when it is larger than `limit` bytes, 400 when its sender stopped in
    the middle of it (RFC 9112 §8: such a request is not acted on) or its chunks cannot be read.
    """
    length = request.META.get("CONTENT_LENGTH") or "0"
    promised = int(length) if length.isdecimal() else 0
    if promised > limit:
        raise _too_large(f"the body has {promised} bytes", limit)
    try:
        body = _read_chunks(request, limit) if _is_chunked(request) else request.body
    except OSError as error:
        raise _incomplete() from error
    except ParseException as error:
        raise InvalidInput("the body's chunks cannot be read", kind="bad_chunks") from error
    if len(body) < promised:
        raise _incomplete()
    return body


def _incomplete() -> InvalidInput:
    return InvalidInput("the body did not arrive whole", kind="body_incomplete")


def _is_chunked(request: HttpRequest) -> bool:
    """A body without a length whose end the server knows; Django would take it for an empty one."""
    has_end = request.META.get("wsgi.input_terminated")
    return bool(has_end) and not request.META.get("CONTENT_LENGTH")


def _read_chunks(request: HttpRequest, limit: int) -> bytes:
    body: bytes = request.META["wsgi.input"].read(limit + 1)
    if len(body) > limit:
        raise _too_large("the body is too large", limit)
    return body


def _too_large(found: str, limit: int) -> InvalidInput:
    return InvalidInput(
        f"{found}, at most {limit} are taken", kind="body_too_large", status_code=413
    )


def parse_json(body: bytes) -> Any:
    """Parse JSON strictly (no NaN, UTF-8, no lone surrogates); raises ValueError with the reason.

    Recursion is bounded by the interpreter; a document nested too deep is a ValueError as well.
    """

    def refuse_constant(name: str) -> None:
        raise ValueError(f"{name} is not JSON")

    try:
        text = body.decode("utf-8")
        value = json.loads(text, parse_constant=refuse_constant)
        if "\\u" in text:  # an escaped lone surrogate parses, and no database can store it
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError as error:
        raise ValueError("the document is nested too deep") from error
    return value


def client_address(request: HttpRequest) -> str:
    """The caller's address; behind a trusted proxy the last address it did not add itself."""
    address: str = request.META.get("REMOTE_ADDR") or "127.0.0.1"
    if settings.TRUSTED_PROXIES and in_networks(address, tuple(settings.TRUSTED_PROXIES)):
        for hop in reversed(request.headers.get("X-Forwarded-For", "").split(",")):
            if not _is_address(hop.strip()):
                break
            address = hop.strip()
            if not in_networks(address, tuple(settings.TRUSTED_PROXIES)):
                break
    return address


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=65536)
def in_networks(address: str, networks: tuple[str, ...]) -> bool:
    """True when `address` lies in one of `networks` (CIDR texts)."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(parsed, "ipv4_mapped", None)
    parsed = mapped or parsed
    return any(parsed in ipaddress.ip_network(network, strict=False) for network in networks)


class MachineView(APIView):
    """A route of machines and readers: limited by network, no credential, raw body.

    A subclass defines `get`, `post`… taking a Django request. Expected failures become the one
    error shape, a database that is away becomes 503, so that no outsider sees a 500.
    """

    authentication_classes = ()
    permission_classes = ()

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Guard, then call the method's handler with the Django request itself."""
        self.args, self.kwargs = args, kwargs
        method = (request.method or "GET").lower()
        if method == "head" and not hasattr(self, "head"):
            method = "get"
        handler = getattr(self, method, None) if method in self.http_method_names else None
        try:
            if handler is None:
                return self.method_not_allowed(request)
            self.guard(request)
            answer: HttpResponseBase = handler(request, *args, **kwargs)
        except EngineError as error:
            return error_response(error)
        except (OperationalError, InterfaceError) as error:
            logger.error("the database did not answer %s: %s", request.path, error)
            return error_response(
                Unavailable(
                    "the database does not answer; try again",
                    kind="database_unavailable",
                    headers={"Retry-After": "5"},
                )
            )
        return answer

    def guard(self, request: HttpRequest) -> None:
        """Raise Forbidden when the caller's network may not use routes of machines."""
        address = client_address(request)
        if not in_networks(address, tuple(settings.NODE_NETWORKS)):
            raise Forbidden(
                f"{address} is not in ENJOLIVER_NODE_NETWORKS", kind="network_not_allowed"
            )

    def method_not_allowed(self, request: HttpRequest) -> HttpResponse:
        """405 with `Allow`, in the one error shape (OPTIONS: 200, empty)."""
        allowed = [
            name.upper()
            for name in ("get", "post", "delete", "put", "patch")
            if hasattr(self, name)
        ]
        if "GET" in allowed:
            allowed.append("HEAD")
        if request.method == "OPTIONS":
            return HttpResponse(headers={"Allow": ", ".join([*allowed, "OPTIONS"])})
        answer = HttpResponseNotAllowed(allowed, content_type="application/json")
        answer.content = json.dumps(
            {"kind": "method_not_allowed", "value": f"{request.method} is not answered here"}
        ).encode()
        return answer

    def options(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:  # type: ignore[override]
        """List the methods (DRF's own answer would describe serializers we do not use)."""
        return self.method_not_allowed(request)


class OperatorView(MachineView):
    """A route that changes intent: a Django user with `permission`, before the body is looked at.

    `operator_methods` are guarded so; the others (reads) are guarded as routes of machines.
    Credentials: HTTP Basic, `Authorization: Token …`, or the console's session (with CSRF).
    """

    permission: ClassVar[str] = ""
    operator_methods: ClassVar[tuple[str, ...]] = ("POST", "DELETE", "PUT", "PATCH")

    def guard(self, request: HttpRequest) -> None:
        """Raise NotAuthenticated or Forbidden; sets `request.user` for operator methods."""
        super().guard(request)
        method = "GET" if request.method == "HEAD" else request.method
        if method in self.operator_methods:
            request.user = authenticate_operator(request, self.permission)


def authenticate_operator(request: HttpRequest, permission: str) -> Any:
    """The operator behind the request.

    Raises NotAuthenticated (401) without valid credentials and Forbidden (403) without
    `permission` (an `app.codename`; empty: any staff user).
    """
    from rest_framework.authentication import BasicAuthentication, TokenAuthentication
    from rest_framework.exceptions import APIException, PermissionDenied

    from enjoliver.common.sessions import HeaderSession

    wrapped = Request(
        request,
        authenticators=[BasicAuthentication(), TokenAuthentication(), HeaderSession()],
    )
    try:
        user = wrapped.user
    except PermissionDenied as error:  # a console session without its CSRF token
        raise Forbidden(str(error.detail), kind="csrf_failed") from error
    except APIException as error:
        raise NotAuthenticated(
            str(error.detail), headers={"WWW-Authenticate": 'Basic realm="enjoliver"'}
        ) from error
    except (DataError, ValueError) as error:  # a name that no database can hold: NUL, surrogates
        raise NotAuthenticated(
            "these are no credentials", headers={"WWW-Authenticate": 'Basic realm="enjoliver"'}
        ) from error
    if not user.is_authenticated:
        raise NotAuthenticated(
            "this route needs an operator: HTTP Basic, an API token or a console session",
            headers={"WWW-Authenticate": 'Basic realm="enjoliver"'},
        )
    if not (user.has_perm(permission) if permission else user.is_staff):
        raise Forbidden(f"{user.get_username()} lacks the permission {permission or 'staff'}")
    return user


def drf_exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Expected failures of DRF's own views in the one error shape."""
    if isinstance(error, EngineError):
        return Response(error.as_json(), status=error.status_code, headers=error.headers)
    if isinstance(error, (OperationalError, InterfaceError)):
        away = Unavailable("the database does not answer; try again", kind="database_unavailable")
        return Response(away.as_json(), status=away.status_code)
    answer = exception_handler(error, context)
    if answer is not None:
        detail = answer.data.get("detail") if isinstance(answer.data, dict) else None
        kind = getattr(detail, "code", None) or "invalid_input"
        value = str(detail) if detail else "the document is invalid"
        answer.data = {"kind": kind, "value": value} | ({} if detail else {"fields": answer.data})
    return answer


def as_machine_route(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Mark a plain function view as free of CSRF: machines hold no session."""
    return csrf_exempt(view)
