"""What configs are made from: pinned facts of machines and the engine's own, as plain data."""

from __future__ import annotations

from dataclasses import dataclass


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
