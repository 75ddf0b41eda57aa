"""Texts of firmware and programs, made fit for a document. Pure."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

_NO_ANSWERS = {
    "",
    "none",
    "not specified",
    "not applicable",
    "to be filled by o.e.m.",
    "default string",
    "system serial number",
    "system product name",
    "0123456789",
}


def clean(value: Any, limit: int) -> str:
    """One line of at most `limit` characters; "" for what vendors write in place of nothing."""
    if not isinstance(value, str):
        return ""
    kept = "".join(" " if unicodedata.category(char)[0] == "C" else char for char in value)
    line = " ".join(kept.split())[:limit].strip()
    return "" if line.lower() in _NO_ANSWERS else line


def load_json(text: str) -> Any:
    """The JSON value in `text`; None when it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def rows(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; a single object counts as a list of one."""
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, dict)]
