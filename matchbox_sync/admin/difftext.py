"""Changes of a plan as HTML: what is added and removed is told by sign and by colour."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

_STYLES = {
    "+": "background: rgb(22 163 74 / 0.16)",
    "-": "background: rgb(220 38 38 / 0.16)",
    "@": "opacity: 0.6",
}
_SIGNS = {"added": "+", "removed": "-"}


def changes_html(changes: Iterable[Mapping[str, Any]]) -> SafeString:
    """The `changes` of one group of a plan's document."""
    return format_html_join("", "{}", ((_change(change),) for change in changes))


def _change(change: Mapping[str, Any]) -> SafeString:
    return format_html(
        '<div style="margin: 0.75rem 0"><strong>{} {}</strong> {}'
        '<pre style="white-space: pre-wrap; overflow: auto; max-height: 30rem; '
        'font-size: 0.8rem; margin-top: 0.25rem">{}</pre></div>',
        change["kind"],
        change["name"],
        change["action"],
        format_html_join("", '<span style="display: block; {}">{}</span>', _lines(change)),
    )


def _lines(change: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for attribute in change["attributes"]:
        before, after = attribute["before"], attribute["after"]
        text = f"{attribute['name']}: {_value(before)} → {_value(after)}"
        yield _STYLES[_SIGNS.get(change["action"], "@")], text
    if "binary" in change:
        before, after = change["binary"]["before"], change["binary"]["after"]
        yield "", f"contents: {_size(before)} → {_size(after)}"
    for line in change.get("text", "").split("\n"):
        if line:
            yield _STYLES.get(line[0], ""), line


def _value(value: Any) -> str:
    if value is None:
        return "(none)"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _size(side: Mapping[str, Any] | None) -> str:
    return f"{side['size']} bytes, SHA-256 {side['sha256'][:12]}" if side else "(none)"
