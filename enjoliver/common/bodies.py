"""Reading the documents that operators send: an object with known keys, each of its kind."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from django.http import HttpRequest

from enjoliver.common.errors import InvalidInput
from enjoliver.common.http import parse_json, read_body

MAX_PAGE = 1000


def read_document(request: HttpRequest, *, known: Collection[str]) -> dict[str, Any]:
    """The body as a JSON object whose keys are among `known`; an empty body is an empty object.

    Raises InvalidInput that names the key and the reason.
    """
    body = read_body(request)
    try:
        document = parse_json(body) if body.strip() else {}
    except ValueError as error:
        raise InvalidInput(f"the body is not JSON: {error}"[:300]) from error
    if not isinstance(document, dict):
        raise InvalidInput("the body: a JSON object is expected")
    unknown = sorted(set(document) - set(known))
    if unknown:
        name = unknown[0][:64]
        raise InvalidInput(
            f"{name}: unknown; the keys are {', '.join(sorted(known))}", fields={name: "unknown"}
        )
    return document


def read_text(document: Mapping[str, Any], key: str, *, longest: int = 300) -> str:
    """The text at `key`, stripped; "" when there is none. Raises InvalidInput."""
    value = document.get(key)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > longest or "\0" in value:
        reason = f"a text of at most {longest} characters is expected"
        raise InvalidInput(f"{key}: {reason}", fields={key: reason})
    return value.strip()


def read_flag(document: Mapping[str, Any], key: str) -> bool:
    """The truth at `key`; False when there is none. Raises InvalidInput."""
    value = document.get(key, False)
    if not isinstance(value, bool):
        raise InvalidInput(f"{key}: true or false is expected", fields={key: "true or false"})
    return value


def read_query_number(request: HttpRequest, name: str, default: int, highest: int) -> int:
    """The number at `name` of the query string, 0 to `highest`. Raises InvalidInput."""
    text = request.GET.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdecimal() or int(text[:20]) > highest:
        reason = f"a number from 0 to {highest} is expected"
        raise InvalidInput(f"{name}: {reason}", fields={name: reason})
    return int(text)
