"""Byte ranges of a request (RFC 9110 §14): one range of one file. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})", re.ASCII | re.IGNORECASE)


class NotSatisfiable(ValueError):
    """The range lies beyond the end of the file."""


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes `first` to `last` of a file, both included."""

    first: int
    last: int

    @property
    def length(self) -> int:
        """How many bytes these are."""
        return self.last - self.first + 1


def read_range(header: str, size: int) -> ByteRange | None:
    """The range that a `Range` header asks of a file with `size` bytes.

    None when there is none, or one that this server passes over: another unit, several ranges, a
    form that is not valid. Raises NotSatisfiable.
    """
    match = _RANGE.fullmatch(header.strip())
    if not match or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        start, end = max(size - int(last), 0), size - 1
    else:
        start, end = int(first), min(int(last or size), size - 1)
        if last and int(last) < start:
            return None
    if start >= size:
        raise NotSatisfiable(f"{header[:100]} of {size} bytes")
    return ByteRange(start, end)
