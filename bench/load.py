"""A small HTTP/1.1 load generator: kept connections, prepared request bytes, bounded in count.

It shares the machine with the server that it measures, so it does as little as it can: asyncio's
transports, no header objects, and one `writelines` a request.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from bench.answers import parse_answer

_CLOSE_BACKOFF_SECONDS = 0.01
_MAX_RETRIES = 50


@dataclass(frozen=True, slots=True)
class Request:
    """One request as bytes on the wire; `body` is shared between requests. `key` is the
    caller's, to know whose answer it is."""

    key: int
    head: bytes
    body: bytes = b""


@dataclass(slots=True)
class Load:
    """What a run of requests took. `statuses` counts answers, `refused` those that the caller's
    check did not accept, `retries` requests that were sent again on a new connection."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    refused: int = 0
    retries: int = 0
    bytes_received: int = 0

    @property
    def count(self) -> int:
        return len(self.latencies)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.count / self.seconds if self.seconds else 0.0

    def latency(self, share: float) -> float:
        """The latency in seconds that `share` (0 to 1) of the answers did not exceed."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


Check = Callable[[int, int, bytes], bool]
"""(key, status, body) -> whether this is the right answer."""


def get(path: str, *, key: int = 0) -> Request:
    """A GET request."""
    return Request(key, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())


def post(path: str, body: bytes, *, key: int = 0) -> Request:
    """A POST request as `curl -d` sends it."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return Request(key, head.encode(), body)


def send(
    port: int,
    requests: Iterable[Request],
    *,
    connections: int,
    check: Check,
    seconds: float | None = None,
) -> Load:
    """Send `requests` over `connections` connections, each waiting for its answer.

    Ends with the last request, or once `seconds` are over (answers under way are awaited). Raises
    ConnectionError when the server drops connections again and again.
    """
    return asyncio.run(_Run(port, iter(requests), check, seconds).run(connections))


class _Run:
    def __init__(
        self, port: int, requests: Iterator[Request], check: Check, seconds: float | None
    ) -> None:
        self.port, self.requests, self.check, self.seconds = port, requests, check, seconds
        self.load = Load()
        self.deadline = float("inf")
        self.last_answer = 0.0

    async def run(self, connections: int) -> Load:
        lanes = [_Lane(self) for _ in range(connections)]
        await asyncio.gather(*(lane.connect() for lane in lanes))
        started, cpu = time.perf_counter(), time.process_time()
        for lane in lanes:
            lane.send_next()
        if self.seconds is not None:  # each connection has sent one, however short the time is
            self.deadline = started + self.seconds
        await asyncio.gather(*(lane.done for lane in lanes))
        self.load.seconds = (self.last_answer or started) - started
        self.load.cpu_seconds = time.process_time() - cpu
        return self.load

    def next_request(self) -> Request | None:
        if time.perf_counter() > self.deadline:
            return None
        return next(self.requests, None)

    def record(self, request: Request, status: int, body: bytes, seconds: float) -> None:
        load = self.load
        load.latencies.append(seconds)
        load.statuses[status] += 1
        load.bytes_received += len(body)
        if not self.check(request.key, status, body):
            load.refused += 1
        self.last_answer = time.perf_counter()


class _Lane(asyncio.Protocol):
    """One connection, opened again when the server closes it."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._request: Request | None = None
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._sent_at = 0.0
        self._retries = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self, "127.0.0.1", self._run.port)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._received.clear()

    def send_next(self) -> None:
        self._request = self._run.next_request()
        if self._request is None:
            self._end()
        else:
            self._send()

    def _send(self) -> None:
        assert self._request is not None
        assert self._transport is not None
        self._sent_at = time.perf_counter()
        if self._request.body:
            self._transport.writelines([self._request.head, self._request.body])
        else:
            self._transport.write(self._request.head)

    def data_received(self, data: bytes) -> None:
        self._received += data
        try:
            answer = parse_answer(self._received)
        except ValueError as error:
            self._end(error)
            return
        if answer is None or self._request is None:
            return
        status, body, keeps = answer
        self._received.clear()
        self._retries = 0
        self._run.record(self._request, status, body, time.perf_counter() - self._sent_at)
        self._request = self._run.next_request()
        if self._request is None:
            self._end()
        elif keeps:
            self._send()
        elif self._transport is not None:
            self._transport.close()  # connection_lost opens the next one

    def connection_lost(self, error: Exception | None) -> None:
        if self.done.done():
            return
        # A server may close a kept connection at any moment; only a repeated loss is a fault.
        self._retries += 1
        self._run.load.retries += 1
        if self._retries > _MAX_RETRIES:
            self._end(ConnectionError(f"the server dropped {_MAX_RETRIES} connections in a row"))
            return
        task = asyncio.get_running_loop().create_task(self._again())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _again(self) -> None:
        try:
            await asyncio.sleep(_CLOSE_BACKOFF_SECONDS * self._retries)
            await self.connect()
        except OSError as error:
            self.connection_lost(error)
        else:
            self._send()

    def _end(self, error: Exception | None = None) -> None:
        if not self.done.done():
            if error:
                self.done.set_exception(error)
            else:
                self.done.set_result(None)
        if self._transport is not None:
            self._transport.close()
