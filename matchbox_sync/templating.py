"""Jinja2 and YAML of snippets: values are merged as data, never quoted by hand. Pure."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from jinja2 import StrictUndefined, Template, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from matchbox_sync.marks import BRACE, Marked, MarkError, parse_marks, protect

try:  # ten times as fast, and composing is part of every sync
    from yaml import CSafeLoader as SafeLoader
except ImportError:
    from yaml import SafeLoader  # type: ignore[assignment]

__all__ = [
    "ComposeError",
    "SafeLoader",
    "env_quote",
    "load_yaml",
    "read_text",
    "render_body",
    "render_document",
]

_TOKEN = re.compile(f"{BRACE}([0-9]+){BRACE}")
_OPTIONS: dict[str, Any] = {
    # Other delimiters than Go's; `<%` is rare in what stands in /etc.
    "block_start_string": "<%",
    "block_end_string": "%>",
    "variable_start_string": "<%=",
    "variable_end_string": "%>",
    "comment_start_string": "<%#",
    "comment_end_string": "%>",
    "undefined": StrictUndefined,
    "keep_trailing_newline": True,
    "trim_blocks": True,
    "lstrip_blocks": True,
    "autoescape": False,  # the output is no HTML
}


class ComposeError(Exception):
    """A profile cannot be composed; the message names the profile and the snippet(s)."""


def read_text(path: Path) -> str:
    """The text of one file of a snippet; raises ComposeError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ComposeError(f"{path}: {error}") from error
    if BRACE in text:
        raise ComposeError(f"{path}: U+FDD0 is reserved")
    return text


# --- YAML ---------------------------------------------------------------------------------------


class _Loader(SafeLoader):
    """YAML without its silent rule that the last of two equal keys wins."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = sorted({str(key) for key in keys if keys.count(key) > 1})
        if twice:
            raise yaml.MarkedYAMLError(
                problem=f"{', '.join(twice)}: stands there twice", problem_mark=node.start_mark
            )
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def load_yaml(text: str, where: str) -> Any:
    """Read one YAML document; raises ComposeError that begins with `where`."""
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - derived from a safe loader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ComposeError(f"{where}: {' '.join(str(error).split())}") from error


# --- Jinja2 -------------------------------------------------------------------------------------


def env_quote(value: object) -> str:
    """`value` in double quotes, as systemd's EnvironmentFile and POSIX shells read it alike."""
    text = re.sub(r'(["\\$`])', r"\\\1", as_text(value))
    return f'"{text}"'


def as_text(value: object) -> str:
    """Text, numbers and booleans as text; raises TypeError for what has no one text form."""
    if isinstance(value, Undefined):
        return str(value)  # StrictUndefined raises, with the name
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, (str, int)):
        raise TypeError(f"{type(value).__name__} has no text; use a filter such as join or json")
    return str(value)


class _Values(threading.local):
    """The values of the document that this thread is rendering."""

    def __init__(self) -> None:
        self.kept: list[Any] = []

    def keep(self, value: Any) -> str:
        if isinstance(value, Undefined):
            return str(value)  # raises
        self.kept.append(value)
        return f"{BRACE}{len(self.kept) - 1}{BRACE}"


_VALUES = _Values()


def _environment(finalize: Callable[[Any], str]) -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(finalize=finalize, **_OPTIONS)
    environment.globals.clear()
    environment.filters |= {"env": env_quote, "json": lambda v: json.dumps(v, sort_keys=True)}
    return environment


_BODIES = _environment(lambda value: protect(as_text(value)))
_DOCUMENTS = _environment(_VALUES.keep)


@lru_cache(maxsize=512)
def _compiled(environment: ImmutableSandboxedEnvironment, text: str) -> Template:
    return environment.from_string(text)


def _render(
    environment: ImmutableSandboxedEnvironment, path: Path, context: Mapping[str, Any]
) -> str:
    try:
        return _compiled(environment, read_text(path)).render(context)
    except ComposeError:
        raise
    except Exception as error:  # an expression may raise anything, and must not end a sync
        raise ComposeError(f"{path}: {_reason(error)}") from error


def render_body(path: Path, context: Mapping[str, Any]) -> str | Marked:
    """Render a body: text, in which the values' braces make no marks. Raises ComposeError."""
    try:
        return parse_marks(_render(_BODIES, path, context))
    except MarkError as error:
        raise ComposeError(f"{path}: {error}") from error


def render_document(path: Path, context: Mapping[str, Any]) -> dict[str, Any]:
    """Render a YAML document whose texts may be Marked; raises ComposeError.

    Tokens stand for values while YAML is read, so no value can change the document's form.
    """
    values: list[Any] = []
    _VALUES.kept = values
    text = _render(_DOCUMENTS, path, context)
    document = load_yaml(text, str(path))
    if not isinstance(document, dict):
        raise ComposeError(f"{path}: expected a mapping")
    try:
        merged: dict[str, Any] = _merge_values(document, values)
    except (MarkError, TypeError) as error:
        raise ComposeError(f"{path}: {error}") from error
    return merged


def _reason(error: Exception) -> str:
    line = getattr(error, "lineno", None)
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return f"line {line}: {error}" if line else str(error)


def _merge_values(tree: Any, values: list[Any]) -> Any:
    if isinstance(tree, dict):
        return {_plain_key(key): _merge_values(value, values) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_merge_values(value, values) for value in tree]
    if not isinstance(tree, str):
        return _as_data(tree)
    whole = _TOKEN.fullmatch(tree)
    if whole and not isinstance(values[int(whole[1])], str):
        return _as_data(values[int(whole[1])])
    return parse_marks(_TOKEN.sub(lambda found: protect(as_text(values[int(found[1])])), tree))


def _plain_key(key: Any) -> str:
    if not isinstance(key, str) or BRACE in key or "{{" in key:
        raise TypeError(f"{key!r} is no key: a key is plain text")
    return key


def _as_data(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_plain_key(key): _as_data(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_data(item) for item in value]
    if value is not None and not isinstance(value, (str, int, float)):
        raise TypeError(f"{value!r} ({type(value).__name__}) cannot stand in a document")
    return value
