"""Reads the fields of a document one by one, and gathers a sentence for each that is wrong."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Network
from typing import Any, TypeVar, cast

Word = TypeVar("Word", bound=str)


class Fields:
    """A mapping whose fields are taken out with their type, default and bounds.

    What is wrong is added to `problems` with the field's path, and its default is given instead,
    so that one look finds everything.
    """

    def __init__(self, document: dict[Any, Any], path: str, problems: list[str]) -> None:
        self._left = dict(document)
        self._path = path
        self._problems = problems

    def word(self, key: str, default: str | None, pattern: str) -> str:
        """A text that matches the whole pattern, or a number that reads so; None: required."""
        value = self._left.pop(key, default)
        if value is None:
            self._wrong(key, "is missing")
        elif isinstance(value, bool) or not isinstance(value, str | int):
            self._wrong(key, f"is {_said(value)}, a text is expected")
        elif not re.fullmatch(pattern, str(value)):
            self._wrong(key, f"is {_said(value)}, which does not match {pattern}")
        else:
            return str(value)
        return default or ""

    def choice(self, key: str, default: Word, choices: Sequence[Word]) -> Word:
        """One of a few words."""
        value = self._left.pop(key, default)
        if value not in choices:
            self._wrong(key, f"is {_said(value)}, expected one of: {', '.join(choices)}")
            return default
        return cast(Word, value)

    def number(self, key: str, default: int, low: int, high: int) -> int:
        """A whole number within bounds."""
        value = self._left.pop(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self._wrong(key, f"is {_said(value)}, a whole number from {low} to {high} is expected")
            return default
        return value

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self._left.pop(key, default)
        if not isinstance(value, bool):
            self._wrong(key, f"is {_said(value)}, true or false is expected")
            return default
        return value

    def network(self, key: str, default: IPv4Network) -> IPv4Network:
        """An IPv4 network, as 10.77.0.0/24."""
        value = self._left.pop(key, str(default))
        try:
            if not isinstance(value, str):
                raise ValueError("a network as 10.77.0.0/24 is expected")
            return IPv4Network(value)
        except ValueError as error:
            self._wrong(key, f"is {_said(value)}: {error}")
            return default

    def mapping(self, key: str, pattern: str = r"[a-z][a-z0-9_]*") -> dict[str, Any]:
        """A mapping with keys that match the pattern; empty when it is not given."""
        value = self._left.pop(key, None)
        if value is None:
            return {}
        if not isinstance(value, dict):
            self._wrong(key, f"is {_said(value)}, a mapping is expected")
            return {}
        for name in value:
            if not isinstance(name, str) or not re.fullmatch(pattern, name):
                self._wrong(key, f"has the key {_said(name)}, which does not match {pattern}")
        return {str(name): content for name, content in value.items()}

    def rows(self, key: str) -> list[Fields] | None:
        """A list of mappings, of one at least; None when it is not given."""
        value = self._left.pop(key, None)
        if value is None:
            return None
        if not isinstance(value, list) or not value:
            self._wrong(key, f"is {_said(value)}, a list with one entry at least is expected")
            return None
        rows = []
        for index, row in enumerate(value):
            path = f"{self._path}{key}[{index}]"
            if isinstance(row, dict):
                rows.append(Fields(row, f"{path}.", self._problems))
            else:
                self._problems.append(f"{path}: is {_said(row)}, a mapping is expected")
        return rows

    def nothing_else(self) -> None:
        """Whatever was not taken out is unknown."""
        for key in self._left:
            self._wrong(str(key), "is no field that is known")

    def _wrong(self, key: str, reason: str) -> None:
        self._problems.append(f"{self._path}{key}: {reason}")


def whole(value: object) -> str:
    """A value of YAML as an environment variable has it."""
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _said(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
