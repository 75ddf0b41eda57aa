"""HTTP as a machine speaks it: one connection per request, a deadline, every answer counted."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import aiohttp
from yarl import URL

from simulator.metrics import Costs

_LOSS = 1 / 6
_PIECES = 4


class Unreachable(Exception):
    """No answer came: refused, timed out, cut off."""


class Refused(Exception):
    """An answer came with a status that the machine cannot use now."""

    def __init__(self, route: str, answer: Answer) -> None:
        super().__init__(f"{route}: {answer.status} {answer.sentence()}")
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    def json(self) -> Any:
        """The body as JSON; None when it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def document(self) -> dict[str, Any]:
        """The body as a JSON object; empty when it is something else."""
        value = self.json()
        return value if isinstance(value, dict) else {}

    def sentence(self) -> str:
        """The human sentence of an error answer, or the start of the body."""
        value = self.document().get("value")
        if isinstance(value, str):
            return value
        return " ".join(self.body[:120].decode("utf-8", "replace").split())


@dataclass(slots=True)
class Wire:
    """The cable of one machine: how slow it is, and whether it loses things."""

    dice: random.Random
    slow_seconds: float = 0.0
    is_flaky: bool = False

    def loses(self) -> bool:
        """Throw the dice for one direction of one request."""
        return self.is_flaky and self.dice.random() < _LOSS


class Client:
    """The fleet's HTTP client: at most `connections` requests at once, waiting is not counted."""

    def __init__(self, *, costs: Costs, connections: int, timeout_seconds: float) -> None:
        self._costs = costs
        self._gate = asyncio.Semaphore(connections)
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # A connection per request, as curl and iPXE do; shared ones would hide that cost.
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        self._session = aiohttp.ClientSession(
            connector=connector, timeout=self._timeout, auto_decompress=False
        )
        return self

    async def __aexit__(self, *details: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def send(
        self,
        method: str,
        url: str,
        *,
        route: str,
        wire: Wire,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request; raises Unreachable. The URL is sent exactly as given."""
        name = f"{method} {route}"
        if wire.loses():
            self._costs.lost(name, "request lost on purpose")
            raise Unreachable(f"{name}: request lost")
        # A slow machine must not keep the others of this process waiting.
        gate = contextlib.nullcontext() if wire.slow_seconds else self._gate
        async with gate:
            answer = await self._exchange(method, url, name, wire, body, headers)
        if wire.loses():
            self._costs.lost(name, "answer lost on purpose")
            raise Unreachable(f"{name}: answer lost")
        return answer

    async def _exchange(
        self,
        method: str,
        url: str,
        name: str,
        wire: Wire,
        body: bytes | None,
        headers: Mapping[str, str] | None,
    ) -> Answer:
        assert self._session is not None, "use the client as a context manager"  # noqa: S101
        data: Any = body
        headers = dict(headers or {})
        if body is not None and wire.slow_seconds:
            data, headers["Content-Length"] = _in_pieces(body, wire.slow_seconds), str(len(body))
        await asyncio.sleep(wire.slow_seconds)
        started = time.monotonic()
        try:
            async with self._session.request(
                method, URL(url, encoded=True), data=data, headers=headers, allow_redirects=False
            ) as response:
                received = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            reason = type(error).__name__
            self._costs.lost(name, reason)
            raise Unreachable(f"{name}: {reason}") from error
        self._costs.answered(
            name,
            status=response.status,
            seconds=time.monotonic() - started,
            sent=len(body or b""),
            received=len(received),
        )
        return Answer(response.status, received, response.headers)


async def _in_pieces(body: bytes, seconds: float) -> AsyncIterator[bytes]:
    """The body in a few pieces, `seconds` in all."""
    size = -(-len(body) // _PIECES) or 1
    for start in range(0, len(body), size):
        yield body[start : start + size]
        await asyncio.sleep(seconds / _PIECES)
