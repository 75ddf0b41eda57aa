"""Requests to the engine: straight to its address, never by a proxy that the computer may have."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

_SECONDS = 10.0


class NoAnswer(Exception):
    """Nobody answered, or something that is no HTTP; the text says what happened."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body of an answer."""

    status: int
    body: bytes

    def json(self) -> Any:
        """The body as JSON; NoAnswer when it is none."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise NoAnswer(f"the answer is no JSON: {error}") from error


def ask(url: str, method: str = "GET", *, seconds: float = _SECONDS) -> Answer:
    """One request without a body, whatever the status of its answer; raises NoAnswer."""
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=seconds)
    path = where.path + (f"?{where.query}" if where.query else "")
    try:
        connection.request(method, path or "/")
        answer = connection.getresponse()
        return Answer(answer.status, answer.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NoAnswer(f"{url}: {error}") from error
    finally:
        connection.close()


def is_served(url: str, method: str = "GET") -> bool:
    """Whether a request is answered with 200."""
    try:
        return ask(url, method).status == 200
    except NoAnswer:
        return False
