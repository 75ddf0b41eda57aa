"""Marks: `{{ .a.b }}` in a snippet's text, and how they survive JSON, YAML, Go and Butane.

A text becomes parts: literal text and marks. A scalar with marks is written as one Go action that
prints a quoted string, so that no value of a machine can break out of its place; literal braces
are written so that Go sees no action in them. Facts behind this: matchbox renders with Go's
text/template, then reads YAML.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

BRACE = "\ufdd0"
"""Stands for a `{` that came out of a value, until the marks are found: values make no marks.

U+FDD0 is a noncharacter, reserved for use inside a program (Unicode 23.7).
"""

RESERVED = frozenset({"mac", "os", "request"})
"""Names that selectors and the request set: a config must depend on the group alone."""

_MARK = re.compile(r"\{\{\s*\.([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\s*\}\}", re.ASCII)
# What YAML 1.2 calls not printable, and what it takes for a line break inside quotes.
_NOT_YAML = re.compile(
    r"[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
# No literal holds two braces in a row, so each `{{` in a template begins an action of ours.
_ACTION = re.compile(r'\{\{ printf "%q" \((?:[^"()]|"(?:[^"\\]|\\.)*")*\) \}\}')

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_ARGUMENT = re.compile(r" \.([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)", re.ASCII)


class MarkError(ValueError):
    """A text with braces that are no mark; the message says which."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One mark: a dotted key of the machine's metadata."""

    key: str


@dataclass(frozen=True, slots=True)
class Marked:
    """A text with at least one mark."""

    parts: tuple[str | Mark, ...]

    @property
    def keys(self) -> frozenset[str]:
        """The metadata keys that the text uses."""
        return frozenset(part.key for part in self.parts if isinstance(part, Mark))


def protect(text: str) -> str:
    """Hide the braces of a value from `parse_marks`."""
    return text.replace("{", BRACE)


def parse_marks(text: str) -> str | Marked:
    """Find the marks in rendered snippet text; a text without any comes back as it is meant.

    Raises MarkError for `{{` that begins no mark, and for a mark with a reserved name.
    """
    parts: list[str | Mark] = []
    end = 0
    for found in _MARK.finditer(text):
        parts += [text[end : found.start()], Mark(found[1])]
        end = found.end()
    parts.append(text[end:])
    for part in parts:
        if isinstance(part, str) and "{{" in part:
            where = part[part.index("{{") :][:40]
            raise MarkError(
                f"{where!r} is no mark: write {{{{ .name }}}}, or <%= '{{{{' %> for text"
            )
        if isinstance(part, Mark) and part.key.partition(".")[0] in RESERVED:
            raise MarkError(f"{{{{ .{part.key} }}}} is reserved: configs never use the request")
    plain = tuple(part.replace(BRACE, "{") if isinstance(part, str) else part for part in parts)
    return Marked(tuple(p for p in plain if p != "")) if len(parts) > 1 else str(plain[0])


def dump_template(tree: Any) -> str:
    """Write `tree` (mappings, lists, scalars, Marked) as JSON with Go actions; keys are sorted."""
    return "".join(_dump(tree, "\n")) + "\n"


def skeleton(template: str, placeholder: Any) -> Any:
    """Read a template back as data, each scalar with marks replaced by `placeholder`."""
    token = json.dumps(BRACE)
    return _replace(json.loads(_ACTION.sub(lambda _: token, template)), BRACE, placeholder)


def marks_in(template: str) -> frozenset[str]:
    """The metadata keys that a dumped template uses."""
    actions = (_QUOTED.sub("", action) for action in _ACTION.findall(template))
    return frozenset(key for action in actions for key in _ARGUMENT.findall(action))


def _replace(tree: Any, token: str, placeholder: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _replace(value, token, placeholder) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_replace(value, token, placeholder) for value in tree]
    return placeholder if tree == token else tree


def _dump(tree: Any, newline: str) -> Iterator[str]:
    inner = newline + " "
    if isinstance(tree, dict):
        entries: Any = [(f"{_literal(key)}: ", tree[key]) for key in sorted(tree)]
        opening, closing = "{", "}"
    elif isinstance(tree, list):
        entries = [("", value) for value in tree]
        opening, closing = "[", "]"
    else:
        yield _action(tree) if isinstance(tree, Marked) else _literal(tree)
        return
    yield opening
    for number, (prefix, value) in enumerate(entries):
        yield f"{',' if number else ''}{inner}{prefix}"
        yield from _dump(value, inner)
    yield f"{newline if entries else ''}{closing}"


def _literal(value: str | int | float | bool | None) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return re.sub(r"(?<=\{)\{", r"\\u007b", _NOT_YAML.sub(_escape, text))


def _escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def _action(marked: Marked) -> str:
    """One action for the whole scalar: Go quotes the text, and YAML knows all Go's escapes."""
    texts = (p.replace("%", "%%") if isinstance(p, str) else "%v" for p in marked.parts)
    arguments = "".join(f" .{p.key}" for p in marked.parts if isinstance(p, Mark))
    text = json.dumps("".join(texts), ensure_ascii=False)
    return f'{{{{ printf "%q" (printf {text}{arguments}) }}}}'
