"""Reading an Ignition 3.x document the way the machine's own agent does.

Source: https://coreos.github.io/ignition/configuration-v3_4/ (files, data URLs, compression).
The paths of marker and environment file are the contract with `templates/ignition`.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import hashlib
import json
import shlex
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

DISCOVERY_MARKER = "/etc/enjoliver/discovery"
ROLE_MARKER = "/etc/enjoliver/role"
ENDPOINTS_FILE = "/etc/metadata-endpoints.env"
ENVIRONMENT_FILE = "/etc/enjoliver/environment"


class BadConfig(Exception):
    """The document is not a config that a machine could apply; the text says why."""


@dataclass(frozen=True, slots=True)
class Config:
    """One parsed document: its Ignition version, files by path and unit names."""

    version: str
    files: Mapping[str, bytes]
    units: frozenset[str]

    @property
    def api_uri(self) -> str:
        """The engine's address for the machine; "" when the config does not say it."""
        return self._values(ENDPOINTS_FILE).get("ENJOLIVER_API_URI", "").rstrip("/")

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that the config says the machine has."""
        text = self.files.get(ROLE_MARKER, b"").decode("utf-8", "replace")
        return tuple(role for role in text.strip().split(",") if role)

    def contradictions(self, *, uuid: str, mac: str, roles: Collection[str]) -> list[str]:
        """What in this config belongs to another machine or role; empty when it is one's own."""
        says = self._values(ENVIRONMENT_FILE)
        wanted = {
            "ENJOLIVER_UUID": uuid,
            "ENJOLIVER_BOOT_MAC": mac,
            "ENJOLIVER_ROLES": ",".join(self.roles),
        }
        wrong = [
            f"{name} is {says.get(name, 'missing')}, not {value}"
            for name, value in wanted.items()
            if says.get(name) != value
        ]
        if set(self.roles) != set(roles):
            wrong.append(f"its roles are {sorted(self.roles)}, not {sorted(roles)}")
        return wrong

    def _values(self, path: str) -> dict[str, str]:
        return read_environment(self.files.get(path, b""))

    @property
    def is_discovery(self) -> bool:
        """True for the config of the discovery system, which must never be installed."""
        return DISCOVERY_MARKER in self.files


def digest(document: bytes) -> str:
    """SHA-512 of the exact bytes, lower-case hex: what a machine reports each interval."""
    return hashlib.sha512(document).hexdigest()


def parse_config(document: bytes) -> Config:
    """Parse and decode a whole document; raises BadConfig."""
    try:
        data = json.loads(document)
        version = str(data["ignition"]["version"])
        entries = data.get("storage", {}).get("files", [])
        units = data.get("systemd", {}).get("units", [])
        files = {entry["path"]: _contents(entry.get("contents", {})) for entry in entries}
        names = frozenset(unit["name"] for unit in units)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadConfig(f"not an Ignition document: {error!r}") from error
    if version.split(".")[0] != "3":
        raise BadConfig(f"Ignition version {version} is not 3.x")
    return Config(version, files, names)


def _contents(contents: Mapping[str, Any]) -> bytes:
    source = contents.get("source") or "data:,"
    if not source.startswith("data:"):
        return b""  # fetched at apply time, with its own digest
    data = decode_data_url(source)
    if contents.get("compression") == "gzip":
        try:
            return gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise BadConfig(f"broken gzip: {error}") from error
    return data


def decode_data_url(url: str) -> bytes:
    """The bytes of a `data:` URL (RFC 2397); raises BadConfig."""
    header, separator, body = url.removeprefix("data:").partition(",")
    if not separator:
        raise BadConfig("data URL without a comma")
    if not header.endswith(";base64"):
        return unquote_to_bytes(body)
    try:
        return base64.b64decode(unquote_to_bytes(body), validate=True)
    except binascii.Error as error:
        raise BadConfig(f"broken base64: {error}") from error


def read_environment(text: bytes) -> dict[str, str]:
    """Values of an environment file (`NAME=value`, optional quotes, comments)."""
    values = {}
    for line in text.decode("utf-8", "replace").splitlines():
        name, separator, value = line.strip().partition("=")
        if separator and not name.startswith("#"):
            values[name.strip()] = _unquoted(value.strip())
    return values


def _unquoted(value: str) -> str:
    try:
        return " ".join(shlex.split(value))
    except ValueError:
        return value
