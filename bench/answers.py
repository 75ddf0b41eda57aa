"""Reading HTTP/1.1 answers off the wire, no more of it than the two servers use."""

from __future__ import annotations

MAX_HEADER_BYTES = 64 * 1024


def parse_answer(received: bytearray) -> tuple[int, bytes, bool] | None:
    """(status, body, connection is kept) once the answer is complete, else None.

    Reads Content-Length and chunked bodies (RFC 9112 §6, §7.1). Raises ValueError for others.
    """
    end = received.find(b"\r\n\r\n")
    if end < 0:
        if len(received) > MAX_HEADER_BYTES:
            raise ValueError("no end of the header")
        return None
    head = bytes(received[:end]).lower()
    start = end + 4
    status = int(head[9:12])
    keeps = b"\r\nconnection: close" not in head
    if b"\r\ntransfer-encoding: chunked" in head:
        body = _chunked(received, start)
        return None if body is None else (status, body, keeps)
    mark = head.find(b"\r\ncontent-length:")
    if mark < 0:
        if status in (204, 304):
            return status, b"", keeps
        raise ValueError(f"an answer without length: {head[:200]!r}")
    line_end = head.find(b"\r\n", mark + 2)
    length = int(head[mark + 17 : line_end if line_end > 0 else len(head)])
    if len(received) < start + length:
        return None
    return status, bytes(received[start : start + length]), keeps


def _chunked(received: bytearray, start: int) -> bytes | None:
    parts: list[bytes] = []
    while True:
        line_end = received.find(b"\r\n", start)
        if line_end < 0:
            return None
        size = int(bytes(received[start:line_end]).partition(b";")[0], 16)
        chunk = line_end + 2
        if len(received) < chunk + size + 2:
            return None
        if size == 0:
            return b"".join(parts)
        parts.append(bytes(received[chunk : chunk + size]))
        start = chunk + size + 2
