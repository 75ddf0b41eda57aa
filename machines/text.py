"""Text from outside made fit for one line of a bounded column. Pure."""

from __future__ import annotations

import re

_NOT_PRINTABLE = re.compile(r"[\x00-\x1f\x7f\u0080-\u009f\u2028\u2029\ud800-\udfff]")


def has_control_characters(text: str) -> bool:
    """True when `text` holds control characters, line separators or lone surrogates."""
    return bool(_NOT_PRINTABLE.search(text))


def one_line(text: str, limit: int) -> str:
    """`text` without control characters, cut to `limit` characters (the cut shows as `…`)."""
    clean = _NOT_PRINTABLE.sub(" ", text)
    return clean if len(clean) <= limit else f"{clean[: limit - 1]}…"
