"""HTTP for checks: no proxy, no redirect, no compression, answers only up to a size."""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass
from typing import Any

import httpx

from lifecycle.health.asking import CheckFailed
from machines.text import one_line

_AGENT = "enjoliver-health-gate"


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, body, and where a redirect would lead."""

    status: int
    body: bytes
    location: str = ""


def make_client(
    context: ssl.SSLContext | None, headers: dict[str, str] | None = None
) -> httpx.AsyncClient:
    """A client that trusts what `context` says; without one it speaks no TLS at all."""
    return httpx.AsyncClient(
        verify=context or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        trust_env=False,  # neither proxies nor credentials of the engine's environment
        follow_redirects=False,
        timeout=None,  # noqa: S113 - the whole check has a deadline
        headers={"User-Agent": _AGENT, "Accept-Encoding": "identity"} | (headers or {}),
    )


async def send(
    client: httpx.AsyncClient, method: str, url: str, *, limit: int, **more: Any
) -> Answer:
    """One request; raises CheckFailed when nothing comes, or more than `limit` bytes do."""
    try:
        async with client.stream(method, url, **more) as response:
            if response.headers.get("Content-Encoding", "identity") != "identity":
                raise CheckFailed(f"{url} compresses its answer unasked")
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > limit:
                    raise CheckFailed(f"{url} answers more than {limit} bytes")
            location = response.headers.get("Location", "") if response.is_redirect else ""
            return Answer(response.status_code, bytes(body), location)
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        raise CheckFailed(f"{_place(url)} does not answer: {_reason(error)}") from error


def _place(url: str) -> str:
    parsed = httpx.URL(url)
    return f"{parsed.scheme}://{parsed.netloc.decode()}"


def _reason(error: Exception) -> str:
    return one_line(str(error) or type(error).__name__, 200)


def read_object(answer: Answer, url: str) -> dict[str, Any]:
    """The JSON object of an answer with status 200; raises CheckFailed."""
    if answer.status != 200:
        said = one_line(answer.body[:200].decode("utf-8", "replace"), 200)
        raise CheckFailed(f"{url} answers {answer.status}: {said}".rstrip(": "))
    document = read_json(answer.body, url)
    if not isinstance(document, dict):
        raise CheckFailed(f"{url} answers no JSON object")
    return document


def read_json(body: bytes, url: str) -> Any:
    """Any JSON value; raises CheckFailed."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise CheckFailed(f"{url} answers no JSON: {_reason(error)}") from error
