"""Reading one object of a document field by field, collecting all that is wrong with it. Pure."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Mapping
from typing import Any

from enjoliver.common.addresses import normalise_mac, normalise_uuid
from machines.text import has_control_characters

MAX_PROBLEMS = 100
MAX_DEPTH = 32
MAX_BITS = 4096
BIGINT = 2**63 - 1


class Problems(dict[str, str]):
    """Path inside the document to what is wrong there; at most MAX_PROBLEMS are kept."""

    def note(self, path: str, reason: str) -> None:
        """Keep the first reason for `path`."""
        if len(self) < MAX_PROBLEMS:
            self.setdefault(path, reason)


class ObjectReader:
    """One JSON object at `path`; each method reads one key, notes a problem or returns its value.

    After a problem a harmless value is returned, so that the rest is checked as well.
    """

    def __init__(self, data: Any, path: str, problems: Problems) -> None:
        self.path, self.problems = path, problems
        if not isinstance(data, Mapping):
            problems.note(path, "an object is expected")
        self.data: Mapping[str, Any] = data if isinstance(data, Mapping) else {}
        self.is_object = isinstance(data, Mapping)

    def note(self, key: str, reason: str) -> None:
        """Something is wrong with `key`."""
        self.problems.note(f"{self.path}.{key}" if self.path else key, reason)

    def has(self, *keys: str) -> bool:
        """True when all `keys` are there; the others are noted as required."""
        missing = [key for key in keys if key not in self.data] if self.is_object else []
        for key in missing:
            self.note(key, "required")
        return self.is_object and not missing

    def text(self, key: str, *, limit: int, is_required: bool = True) -> str:
        """A text of at most `limit` characters without control characters, stripped."""
        value = self.data.get(key)
        if value is None or value == "":
            if is_required and self.is_object:
                self.note(key, "required")
            return ""
        reason = text_problem(value, limit)
        if reason:
            self.note(key, reason)
            return ""
        return str(value).strip()

    def integer(self, key: str, *, high: int, is_required: bool = True) -> int | None:
        """An integer from 0 to `high`; a bool, a float or a text is none."""
        value = self.data.get(key)
        if value is None:
            if is_required and self.is_object:
                self.note(key, "required")
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            self.note(key, "an integer is expected")
        elif not 0 <= value <= high:
            self.note(key, f"expected 0 to {high}")
        else:
            return value
        return None

    def boolean(self, key: str, *, is_required: bool = True) -> bool | None:
        """True or false."""
        value = self.data.get(key)
        if isinstance(value, bool):
            return value
        if value is not None:
            self.note(key, "true or false is expected")
        elif is_required and self.is_object:
            self.note(key, "required")
        return None

    def uuid(self, key: str) -> str:
        """A UUID in any case, returned lower-case."""
        return self._normalised(key, normalise_uuid)

    def mac(self, key: str) -> str:
        """A MAC in any common spelling, returned lower-case with colons; "" stays "".

        All zeros is what loopback devices have, so it counts as no MAC.
        """
        if self.data.get(key) == "":
            return ""
        mac = self._normalised(key, normalise_mac)
        return "" if mac == "00:00:00:00:00:00" else mac

    def _normalised(self, key: str, normalise: Any) -> str:
        text = self.text(key, limit=128)
        try:
            return str(normalise(text)) if text else ""
        except ValueError as error:
            self.note(key, str(error))
            return ""

    def ipv4(self, key: str) -> str | None:
        """A dotted quad; None for null, "" and 0.0.0.0, which all say that there is none."""
        text = self.text(key, limit=64, is_required=False)
        try:
            return None if text in ("", "0.0.0.0") else str(ipaddress.IPv4Address(text))  # noqa: S104
        except ValueError:
            self.note(key, f"{text[:40]!r} is not an IPv4 address")
            return None

    def items(self, key: str, *, limit: int) -> list[Any]:
        """A list of at most `limit` items; null is an empty one."""
        value = self.data.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            self.note(key, "a list is expected")
        elif len(value) > limit:
            self.note(key, f"at most {limit} items")
        else:
            return value
        return []


def text_problem(value: Any, limit: int) -> str:
    """Why `value` is no usable text of at most `limit` characters; "" when it is one."""
    if not isinstance(value, str):
        return "a text is expected"
    if len(value) > limit:
        return f"at most {limit} characters"
    if has_control_characters(value):
        return "control characters are not allowed"
    return "" if value.strip() else "must not be blank"


def storable(value: Any, depth: int = 0) -> Any:
    """`value` as every database can store it.

    NUL and lone surrogates become U+FFFD, infinite and enormous numbers a text.
    Raises ValueError for a value that is nested deeper than MAX_DEPTH.
    """
    if depth > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, str):
        return storable_text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        return hex(value)
    if isinstance(value, list):
        return [storable(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {storable_text(str(k)): storable(v, depth + 1) for k, v in value.items()}
    return value


def storable_text(text: str) -> str:
    """`text` with U+FFFD in place of NUL and lone surrogates."""
    return (
        text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    )
