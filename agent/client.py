"""HTTP as the agent speaks it: one request, a deadline, bounded bodies, no redirects."""

from __future__ import annotations

import http.client
import io
import json
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from agent import VERSION
from agent.facts.text import clean

MAX_BODY = 16 << 20
_PIECE = 64 << 10
_JSON = {"Content-Type": "application/json"}


class Unreachable(Exception):
    """No complete answer came; the text says why. Whether the request had effect is unknown."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, body and headers (names in lower case)."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    def document(self) -> dict[str, Any]:
        """The JSON object in the body; empty when it is none."""
        try:
            document = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return document if isinstance(document, dict) else {}

    def sentence(self) -> str:
        """What the answer says in words, short enough for a log line."""
        document = self.document()
        words = document.get("reason") or document.get("value") or document.get("message")
        text = words if isinstance(words, str) else self.body[:200].decode("utf-8", "replace")
        return f"{self.status} {clean(text[:2000], 200)}".strip()


class Client:
    """Sends requests; each has `seconds` for all of it."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def get(self, url: str) -> Answer:
        """GET `url`; raises Unreachable."""
        return self.send("GET", url)

    def post(self, url: str, document: Any = None, **headers: str) -> Answer:
        """POST a JSON value, or nothing; header names are written with underscores."""
        body = b"" if document is None else json.dumps(document).encode()
        return self.post_bytes(url, body, **headers)

    def post_bytes(self, url: str, body: bytes, **headers: str) -> Answer:
        """POST a body as it is."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return self.send("POST", url, body, {**_JSON, **named})

    def send(
        self,
        method: str,
        url: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One exchange; raises Unreachable, whatever goes wrong below HTTP."""
        deadline = time.monotonic() + self._seconds
        try:
            connection, path = _prepare(url, self._seconds)
        except ValueError as error:
            raise Unreachable(f"{url[:200]!r} is no address: {error}") from error
        known = {"User-Agent": f"enjoliver-agent/{VERSION}", "Connection": "close"}
        try:
            connection.request(method, path, body=body, headers={**known, **(headers or {})})
            answer = _read_answer(connection.sock, method, deadline)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unreachable(f"{_place(url)}: {_words(error)}") from error
        finally:
            connection.close()
        if is_web_page(answer.body):
            raise Unreachable(f"{_place(url)}: a web page answers in its place ({answer.status})")
        return answer


def is_web_page(body: bytes) -> bool:
    """True for what proxies and portals answer in another's name: no route here speaks markup."""
    return body[:64].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


class _Timed(io.RawIOBase):
    """The bytes of a socket, each read within what is left of the request's time.

    Status line, headers and sizes of chunks are read byte by byte by `http.client`, so a timeout of
    the socket alone would let a server that drips hold the agent for days.
    """

    def __init__(self, wire: socket.socket, deadline: float) -> None:
        self._wire, self._deadline = wire, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer took too long")
        self._wire.settimeout(left)
        return self._wire.recv_into(buffer)


class _TimedResponse(http.client.HTTPResponse):
    """An answer that comes before the deadline, or not at all."""

    def __init__(self, wire: socket.socket, method: str, deadline: float) -> None:
        super().__init__(wire, method=method)
        self.fp.close()
        self.fp = io.BufferedReader(_Timed(wire, deadline))


def _prepare(url: str, seconds: float) -> tuple[http.client.HTTPConnection, str]:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("an http or https address is expected")
    secure = parts.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return kind(parts.hostname, parts.port, timeout=seconds), path


def _read_answer(wire: socket.socket, method: str, deadline: float) -> Answer:
    with _TimedResponse(wire, method, deadline) as response:
        response.begin()
        received = bytearray()
        while piece := response.read1(_PIECE):
            received += piece
            if len(received) > MAX_BODY:
                raise ValueError(f"the answer is larger than {MAX_BODY} bytes")
        if response.length:
            raise http.client.IncompleteRead(bytes(received[:20]), response.length)
        named = {name.lower(): text for name, text in response.getheaders()}
        return Answer(response.status, bytes(received), named)


def _place(url: str) -> str:
    return urlsplit(url).netloc


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
