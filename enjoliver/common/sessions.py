"""The console's session as the credential of an operator route."""

from __future__ import annotations

from django.http import QueryDict
from rest_framework.authentication import SessionAuthentication
from rest_framework.request import Request


class HeaderSession(SessionAuthentication):
    """Django's session, with its CSRF token in the header `X-CSRFToken` only.

    DRF would look for the token in a form first: it then refuses every type of body that it has
    no parser for, and a form that was parsed cannot be read as the body any more.
    """

    def enforce_csrf(self, request: Request) -> None:
        """Raise PermissionDenied without the token; the body is left as it came."""
        plain = request._request
        plain.POST = QueryDict()
        super().enforce_csrf(plain)  # type: ignore[arg-type]
