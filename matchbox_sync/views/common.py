"""What the routes below /api/v1 share: clusters, numbers, pages, bodies."""

from __future__ import annotations

import json
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest

from enjoliver.common.errors import InvalidInput, NotFound
from enjoliver.common.http import parse_json, read_body
from scheduling.models import Cluster
from scheduling.roles import DEFAULT_CLUSTER

MAX_PAGE = 500
_MAX_NUMBER = (1 << 62) - 1


def asked_cluster(name: str | None) -> Cluster:
    """The cluster that a request names; raises NotFound."""
    name = DEFAULT_CLUSTER if name is None else name
    cluster = Cluster.objects.filter(name=name).first()
    if cluster is None:
        raise NotFound(f"there is no cluster {name[:64]!r}")
    return cluster


def read_number(text: str, what: str) -> int:
    """A number out of a path; raises NotFound: no thing has such a name."""
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise NotFound(f"there is no {what} {text[:32]!r}")
    return int(text)


def read_page(request: HttpRequest, rows: QuerySet[Any], *, column: str = "pk") -> tuple[Any, Any]:
    """(rows of the asked page, what `after` shall be for the next one); newest first."""
    limit = _query_number(request, "limit", 50, MAX_PAGE)
    after = _query_number(request, "after", _MAX_NUMBER, _MAX_NUMBER)
    found = list(rows.filter(**{f"{column}__lt": after}).order_by(f"-{column}")[: limit + 1])
    page = found[:limit]
    return page, getattr(page[-1], column) if len(found) > limit else None


def _query_number(request: HttpRequest, name: str, default: int, highest: int) -> int:
    text = request.GET.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdecimal() or not 0 < int(text[:20]) <= highest:
        reason = f"expected a number from 1 to {highest}"
        raise InvalidInput(f"{name}: {reason}", fields={name: reason})
    return int(text)


def read_object(request: HttpRequest) -> dict[str, Any]:
    """The body as a JSON object; an empty body is an empty object. Raises InvalidInput."""
    body = read_body(request)
    if not body.strip():
        return {}
    try:
        document = parse_json(body)
        json.dumps(document, ensure_ascii=False).encode()
    except ValueError as error:
        raise InvalidInput(f"the body is not JSON: {error}"[:300]) from error
    if not isinstance(document, dict):
        raise InvalidInput("expected a JSON object")
    return document


def read_reason(request: HttpRequest, *, is_required: bool = False) -> str:
    """The `reason` in the body; raises InvalidInput."""
    reason = read_object(request).get("reason", "")
    if not isinstance(reason, str) or "\0" in reason or len(reason) > 300:
        expected = "expected a text of at most 300 characters"
        raise InvalidInput(f"reason: {expected}", fields={"reason": expected})
    if is_required and not reason.strip():
        raise InvalidInput("reason: say why", fields={"reason": "required"})
    return reason.strip()
