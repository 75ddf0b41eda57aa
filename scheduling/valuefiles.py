"""Cluster values as YAML: files for Git, the editor in the console. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from enjoliver.common.errors import InvalidInput

MAX_FILE = 256 * 1024


class _Loader(yaml.SafeLoader):
    """YAML's safe subset, where a key that stands twice is an error and not the last one's win."""


def _construct_mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
    twice = {key for key in keys if keys.count(key) > 1}
    if twice:
        raise yaml.constructor.ConstructorError(
            problem=f"{sorted(twice)[0]} stands there twice", problem_mark=node.start_mark
        )
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _construct_mapping)


def parse_values(text: str) -> dict[str, object]:
    """The mapping in a YAML (or JSON) text; an empty text is an empty mapping.

    Raises InvalidInput with the reason and its place. Keys and types are not checked here.
    """
    if len(text) > MAX_FILE:
        raise InvalidInput(f"the text is longer than {MAX_FILE} characters", kind="invalid_yaml")
    try:
        # The loader is SafeLoader with one more check.
        document = yaml.load(text, Loader=_Loader)  # noqa: S506
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise InvalidInput(f"the text is not YAML: {reason}"[:500], kind="invalid_yaml") from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise InvalidInput("a mapping of keys to values is expected", kind="invalid_yaml")
    return {str(key): value for key, value in document.items()}


def format_values(values: Mapping[str, Any]) -> str:
    """`values` as YAML that `parse_values` reads back, one key a line or a block; "" when empty."""
    if not values:
        return ""
    text: str = yaml.safe_dump(
        dict(values), sort_keys=False, allow_unicode=True, default_flow_style=False, width=10**6
    )
    return text
