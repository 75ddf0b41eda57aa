"""Checks of a gate's configuration that name the field and say what is expected."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import urlsplit

Problems = dict[str, str]
Check = Callable[[object], str]
"""What is wrong with a value; "" when nothing is."""

_SECRETS = {
    "token": "bearer_token_file",
    "bearer_token": "bearer_token_file",
    "password": "password_file",
    "client_key": "client_key_file",
    "kubeconfig": "kubeconfig_file",
}


@dataclass(frozen=True, slots=True)
class Shape:
    """The fields of one kind of gate: which there are, which must be there, what goes together."""

    checks: Mapping[str, Check]
    required: tuple[str, ...] = ()
    together: Callable[[Mapping[str, object]], Problems] = lambda config: {}

    def problems(self, config: object) -> Problems:
        """What is wrong, by field."""
        if not isinstance(config, Mapping):
            return {"": "an object is expected"}
        found = {str(key)[:64]: self._unknown(key) for key in config if key not in self.checks}
        found |= {name: "required" for name in self.required if name not in config}
        for name, value in config.items():
            if name in self.checks and (problem := self.checks[name](value)):
                found[name] = problem
        return found or self.together(config)

    def _unknown(self, key: object) -> str:
        instead = _SECRETS.get(str(key))
        if instead in self.checks:
            return f"no secret is kept in the database: put it into a file and name it {instead}"
        return f"unknown; known: {', '.join(self.checks)}"


def text(limit: int) -> Check:
    """A text of 1 to `limit` characters."""

    def check(value: object) -> str:
        is_fit = isinstance(value, str) and 0 < len(value) <= limit and value.isprintable()
        return "" if is_fit else f"a text of 1 to {limit} printable characters is expected"

    return check


def yes_no(value: object) -> str:
    """True or false."""
    return "" if isinstance(value, bool) else "true or false is expected"


def whole(least: int, most: int) -> Check:
    """A whole number."""

    def check(value: object) -> str:
        is_fit = type(value) is int and least <= value <= most
        return "" if is_fit else f"a whole number from {least} to {most} is expected"

    return check


def url(value: object) -> str:
    """An http or https URL without credentials."""
    problem = text(500)(value)
    if problem:
        return problem
    try:
        parts = urlsplit(str(value))
        port_is_fit = parts.port is None or parts.port > 0
    except ValueError as error:
        return f"no URL: {error}"
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_fit:
        return "a URL like https://10.0.0.1:2379 is expected"
    if parts.username is not None or parts.password is not None:
        return "without user and password: credentials are given as files"
    if parts.fragment or " " in str(value):
        return "without spaces and without #"
    return ""


def urls(value: object) -> str:
    """A list of URLs, each once."""
    if not isinstance(value, list) or not 1 <= len(value) <= 20:
        return "a list of 1 to 20 URLs is expected"
    problem = next((found for found in map(url, value) if found), "")
    return problem or ("" if len(set(value)) == len(value) else "each URL once")


def file(value: object) -> str:
    """A file below the directory of the gates' files."""
    problem = text(255)(value)
    if problem:
        return problem
    path = PurePosixPath(str(value))
    if path.is_absolute() or ".." in path.parts or not path.parts:
        return "a path below ENJOLIVER_GATE_FILES is expected, like etcd/ca.pem"
    return ""


def pattern(value: object) -> str:
    """A regular expression."""
    problem = text(500)(value)
    if problem:
        return problem
    try:
        re.compile(str(value))
    except (re.error, OverflowError, RecursionError) as error:
        return f"no regular expression: {error}"
    return ""


TLS: dict[str, Check] = {"ca_file": file, "client_cert_file": file, "client_key_file": file}
"""The fields of every kind that speaks TLS."""


def key_with_certificate(config: Mapping[str, object]) -> Problems:
    """A client's certificate and key go together."""
    if "client_key_file" in config and "client_cert_file" not in config:
        return {"client_cert_file": "required with client_key_file"}
    if "client_cert_file" in config and "client_key_file" not in config:
        return {"client_key_file": "required with client_cert_file"}
    return {}
