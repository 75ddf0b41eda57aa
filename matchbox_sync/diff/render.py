"""A diff as JSON and as text. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from matchbox_sync.diff.compare import Attribute, Binary, Change, Diff

MAX_LINES = 400
"""Of one entry's text that are shown; the rest is counted."""

_CONTROLS = {code: 0x2400 + code for code in range(32) if code not in (9,)}


def as_json(diff: Diff) -> list[dict[str, Any]]:
    """One object a change; `text` is a unified diff, `binary` sizes and digests."""
    return [_change_json(change) for change in diff.changes]


def as_text(diff: Diff) -> str:
    """For a terminal or a page: plain lines, each change with what differs indented below it."""
    return "\n".join(line for change in diff.changes for line in _change_text(change))


def _change_json(change: Change) -> dict[str, Any]:
    document: dict[str, Any] = {
        "kind": change.kind,
        "name": change.name,
        "action": change.action,
        "attributes": [
            {"name": a.name, "before": a.before, "after": a.after} for a in change.attributes
        ],
    }
    if change.text:
        document["text"] = "\n".join(_cut(change.text.unified))
    if change.binary:
        document["binary"] = {
            "before": _binary_json(change.binary.before),
            "after": _binary_json(change.binary.after),
        }
    return document


def _binary_json(side: tuple[int, str] | None) -> dict[str, Any] | None:
    return {"size": side[0], "sha256": side[1]} if side else None


def _change_text(change: Change) -> Iterator[str]:
    yield _plain(f"{change.kind} {change.name}: {change.action}")
    for attribute in change.attributes:
        yield _plain(f"    {attribute.name}: {_attribute_text(attribute)}")
    if change.binary:
        yield f"    contents: {_binary_text(change.binary)}"
    if change.text:
        yield from (f"    {_plain(line)}" for line in _cut(change.text.unified))


def _attribute_text(attribute: Attribute) -> str:
    if attribute.before is None:
        return _value(attribute.after)
    return f"{_value(attribute.before)} → {_value(attribute.after)}"


def _value(value: Any) -> str:
    if value is None:
        return "(none)"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _binary_text(binary: Binary) -> str:
    sides = (
        f"{side[0]} bytes (SHA-256 {side[1][:12]})" if side else "(none)"
        for side in (binary.before, binary.after)
    )
    return " → ".join(sides)


def _cut(lines: tuple[str, ...]) -> Iterator[str]:
    yield from lines[:MAX_LINES]
    if len(lines) > MAX_LINES:
        yield f"… {len(lines) - MAX_LINES} more lines"


def _plain(line: str) -> str:
    """Nothing in a config can move a terminal's cursor."""
    return line.translate(_CONTROLS)
