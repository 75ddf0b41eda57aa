"""Reading an Ignition 3.x config: whose it is, and that it is a role's. Pure.

https://coreos.github.io/ignition/configuration-v3_4/ (files, data URLs, compression)
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from agent.environment import read_environment

DISCOVERY_MARKER = "/etc/enjoliver/discovery"
ROLE_MARKER = "/etc/enjoliver/role"
ENVIRONMENT_FILE = "/etc/enjoliver/environment"
_MAX_FILE = 16 << 20
_MARKED = (DISCOVERY_MARKER, ROLE_MARKER, ENVIRONMENT_FILE)


class BadConfig(Exception):
    """The document must not be applied on this machine; the text says why."""


@dataclass(frozen=True, slots=True)
class RoleConfig:
    """A parsed config: the marker files in it, by path."""

    files: Mapping[str, str]

    @property
    def is_discovery(self) -> bool:
        """True for the config of the discovery system, which must never be installed."""
        return DISCOVERY_MARKER in self.files

    @property
    def roles(self) -> frozenset[str]:
        """The roles that the config is for."""
        return split_roles(self.files.get(ROLE_MARKER, ""))

    @property
    def environment(self) -> Mapping[str, str]:
        """Who the config says the machine is."""
        return read_environment(self.files.get(ENVIRONMENT_FILE, ""))


def split_roles(text: str) -> frozenset[str]:
    """Roles out of a text with commas."""
    return frozenset(role.strip() for role in text.split(",") if role.strip())


def digest(document: bytes) -> str:
    """SHA-512 of the exact bytes, lower-case hex."""
    return hashlib.sha512(document).hexdigest()


def parse_config(document: bytes) -> RoleConfig:
    """Parse a config; raises BadConfig when it is no Ignition 3 document."""
    try:
        data = json.loads(document)
        version = data["ignition"]["version"]
        files = data.get("storage", {}).get("files", [])
        marked = {entry["path"]: entry for entry in files if entry["path"] in _MARKED}
        texts = {path: _text(entry.get("contents") or {}) for path, entry in marked.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadConfig(f"it is no Ignition config: {error!r}"[:200]) from error
    if not str(version).startswith("3."):
        raise BadConfig(f"its Ignition version is {str(version)[:20]}, not 3.x")
    return RoleConfig(texts)


def _text(contents: Mapping[str, Any]) -> str:
    source = contents.get("source") or "data:,"
    header, comma, body = source.removeprefix("data:").partition(",")
    if not source.startswith("data:") or not comma:
        raise BadConfig("a marker file of it is not inside of it")
    data = unquote_to_bytes(body)
    try:
        data = base64.b64decode(data, validate=True) if header.endswith(";base64") else data
        if contents.get("compression") == "gzip":
            data = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(data, _MAX_FILE)
    except (binascii.Error, zlib.error) as error:
        raise BadConfig(f"a marker file of it cannot be read: {error}") from error
    return data.decode("utf-8", "replace")


def check_config(
    document: bytes, *, uuid: str, mac: str, roles: Collection[str] | None
) -> RoleConfig:
    """The config, when it is a role's config for exactly this machine; raises BadConfig.

    `roles` None: whatever roles the config itself says.
    """
    config = parse_config(document)
    if config.is_discovery:
        raise BadConfig("it is the config of the discovery system")
    if not config.roles:
        raise BadConfig("it names no role")
    if roles is not None and config.roles != frozenset(roles):
        raise BadConfig(f"its roles are {_list(config.roles)}, not {_list(roles)}")
    for words in _contradictions(config, uuid=uuid, mac=mac):
        raise BadConfig(words)
    return config


def _contradictions(config: RoleConfig, *, uuid: str, mac: str) -> Iterator[str]:
    """What the environment file in the config says of another machine."""
    says = config.environment
    if split_roles(says.get("ENJOLIVER_ROLES", "")) != config.roles:
        yield "its environment file and its role marker do not agree"
    for name, value in (("ENJOLIVER_UUID", uuid), ("ENJOLIVER_BOOT_MAC", mac)):
        if _plain(says.get(name, "")) != _plain(value):
            yield f"{name} in it is {says.get(name, 'missing')[:100]}, not {value}"


def _plain(identifier: str) -> str:
    return identifier.lower().replace("-", "").replace(":", "")


def _list(roles: Collection[str]) -> str:
    return ", ".join(sorted(roles)) or "none"
