"""What a machine's group says: its own values and the cluster's, as strings and booleans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MEMBERSHIP_KEYS: frozenset[str] = frozenset()
"""Who the control plane is: served by /metadata, never in an Ignition document."""


class MetadataError(ValueError):
    """A value that cannot stand in metadata; the message names the key."""


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """The engine's own part of the configs: its URL as machines reach it, and SSH public keys."""

    api_uri: str
    ssh_keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """The pinned facts of one machine. Unknown ones are "" or 0."""

    uuid: str
    mac: str
    interface_name: str
    ipv4: str
    prefix: int
    gateway: str
    fqdn: str
    pod_index: int
    failure_domain: str
    disk_bytes: int
    roles: tuple[str, ...]
    profile: str


@dataclass(frozen=True, slots=True)
class Member:
    """One control-plane machine as all others see it."""

    name: str
    ipv4: str


def render_metadata(
    *, machine: MachineFacts, cluster_name: str, values: Mapping[str, Any], engine: EngineFacts
) -> dict[str, Any]:
    """All that a machine's Ignition may use: everything but membership. Raises MetadataError."""
    raise NotImplementedError


def membership_metadata(*, members: Sequence[Member], values: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of MEMBERSHIP_KEYS, for all roles alike."""
    raise NotImplementedError


def discovery_metadata(*, values: Mapping[str, Any], engine: EngineFacts) -> dict[str, Any]:
    """Metadata of the one group without selector."""
    raise NotImplementedError


def metadata_text(
    metadata: Mapping[str, Any],
    *,
    selector: Mapping[str, str],
    raw_query: str,
    params: Mapping[str, str],
) -> str:
    """matchbox's own `/metadata` answer for a group with `metadata` and `selector`, lines sorted."""
    raise NotImplementedError
