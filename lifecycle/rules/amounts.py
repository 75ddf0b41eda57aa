"""Amounts of machines: a count, or a part in per cent. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_COUNT = re.compile(r"[0-9]{1,6}")
_PERCENT = re.compile(r"([0-9]{1,3})%")


@dataclass(frozen=True, slots=True)
class Amount:
    """`number` machines, or that many per cent of them."""

    number: int
    is_percent: bool = False

    @classmethod
    def read(cls, text: str) -> Amount:
        """`3` or `10%`; raises ValueError with the reason."""
        if _COUNT.fullmatch(text):
            return cls(int(text))
        found = _PERCENT.fullmatch(text)
        if not found or int(found[1]) > 100:
            raise ValueError("expected a count (1) or per cent (10%)")
        return cls(int(found[1]), is_percent=True)

    def of(self, total: int) -> int:
        """How many of `total`. Per cent are rounded down, and never below one machine: a part of
        a small fleet must not mean that nothing ever moves. 0 % is none."""
        if not self.is_percent:
            return self.number
        return max(1, total * self.number // 100) if self.number else 0

    def __str__(self) -> str:
        return f"{self.number}%" if self.is_percent else str(self.number)
