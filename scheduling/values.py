"""Cluster values: the schema's defaults, overridden by what operators set. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, Protocol

from enjoliver.common.errors import InvalidInput
from scheduling.schema import SCHEMA, Value
from scheduling.valuetypes import parse_value

__all__ = [
    "BY_NAME",
    "SCHEMA",
    "HasValues",
    "Value",
    "check_value",
    "cluster_values",
    "default_of",
    "find_value",
    "merge_values",
]

BY_NAME: Mapping[str, Value] = {value.name: value for value in SCHEMA}


class HasValues(Protocol):
    """Anything with the overrides of a cluster; the model `Cluster` is one."""

    values: Any


def cluster_values(cluster: HasValues) -> dict[str, Any]:
    """All values of `cluster` in the schema's order: its overrides, else the defaults.

    Numbers are int, lists are list; a key that the schema does not know any more is left out.
    """
    return merge_values(cluster.values)


def merge_values(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults with `overrides` (already checked) laid over them."""
    return {name: overrides.get(name, default_of(value)) for name, value in BY_NAME.items()}


def default_of(value: Value) -> Any:
    """The default of `value` as it stands in JSON: a list where the schema has a tuple."""
    return list(value.default) if isinstance(value.default, tuple) else value.default


def find_value(name: object) -> Value:
    """The schema's entry `name`; raises InvalidInput with the nearest known key."""
    if isinstance(name, str) and name in BY_NAME:
        return BY_NAME[name]
    shown = str(name)[:64]
    near = difflib.get_close_matches(shown, BY_NAME, n=1)
    advice = f"did you mean {near[0]}?" if near else "see docs/cluster-values.md"
    reason = f"unknown key; {advice}"
    raise InvalidInput(f"{shown}: {reason}", kind="unknown_key", fields={shown: reason})


def check_value(name: str, raw: object) -> Any:
    """Return `raw` as the plain value of key `name`.

    Raises InvalidInput that names the key and the reason: unknown key, wrong type, out of bounds.
    """
    value = find_value(name)
    try:
        parsed = parse_value(value.type, raw)
        if value.check is not None:
            value.check(parsed)
    except ValueError as error:
        reason = f"{error} (type: {value.type.value}, example: {value.example!r})"
        raise InvalidInput(
            f"{name}: {reason}", kind="invalid_value", fields={name: str(error)}
        ) from error
    return parsed
