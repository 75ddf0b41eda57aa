"""Reading environment files as systemd and shells do: `NAME=value`, quotes, comments. Pure."""

from __future__ import annotations

import shlex


def read_environment(text: str) -> dict[str, str]:
    """The values of an environment file; lines that make no sense are passed over."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        name, separator, value = line.strip().partition("=")
        if separator and not name.startswith("#"):
            values[name.strip()] = _unquoted(value.strip())
    return values


def _unquoted(value: str) -> str:
    try:
        return " ".join(shlex.split(value))
    except ValueError:  # an open quote: as it stands
        return value
