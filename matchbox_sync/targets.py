"""What a sync works on: the pinned facts of machines with a complete role, as plain data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from machines.models import Machine  # noqa: F401 - the relation below spans it
from matchbox_sync.metadata import EngineFacts, MachineFacts, Member
from scheduling.models import Assignment, Cluster
from scheduling.reads import control_plane_members
from scheduling.roles import CONTROL_PLANE_ROLES, PROFILE_CONTROL_PLANE, RoleName

RENDER_VERSION = 1
"""Part of every fingerprint: raise it when the same inputs give other bytes."""

_COLUMNS = (
    "machine_id",
    "machine__uuid",
    "boot_mac",
    "interface_name",
    "ipv4",
    "prefix",
    "gateway",
    "fqdn",
    "pod_index",
    "failure_domain",
    "disk_bytes",
    "profile",
)


@dataclass(frozen=True, slots=True)
class Target:
    """One machine that shall have a config."""

    machine_id: int
    facts: MachineFacts

    @property
    def mac(self) -> str:
        return self.facts.mac

    @property
    def profile(self) -> str:
        return self.facts.profile


def roles_of(profile: str) -> tuple[str, ...]:
    """The roles that lead to a role profile."""
    if profile == PROFILE_CONTROL_PLANE:
        return tuple(str(role) for role in CONTROL_PLANE_ROLES)
    return (str(RoleName.NODE),)


def read_targets(cluster: Cluster) -> Iterator[Target]:
    """All machines of the cluster whose role set is complete, by MAC, in one query."""
    rows = (
        Assignment.objects.filter(cluster=cluster)
        .exclude(profile="")
        .order_by("boot_mac")
        .values_list(*_COLUMNS)
    )
    for (
        machine_id,
        uuid,
        mac,
        name,
        ipv4,
        prefix,
        gateway,
        fqdn,
        pod,
        domain,
        disk,
        profile,
    ) in rows.iterator(chunk_size=2000):
        yield Target(
            machine_id,
            MachineFacts(
                uuid=uuid,
                mac=mac,
                interface_name=name,
                ipv4=ipv4 or "",
                prefix=prefix or 0,
                gateway=gateway or "",
                fqdn=fqdn,
                pod_index=pod,
                failure_domain=domain,
                disk_bytes=disk,
                roles=roles_of(profile),
                profile=profile,
            ),
        )


def read_members(cluster: Cluster) -> tuple[Member, ...]:
    """The control plane, in the order that every reader sees."""
    return tuple(Member(name=m.name, ipv4=m.ipv4) for m in control_plane_members(cluster))


def missing_members(cluster: Cluster) -> str:
    """A reason while members are missing: etcd must not start with a part of its list."""
    have, need = len(read_members(cluster)), cluster.control_plane_size
    if have >= need:
        return ""
    return f"the control plane has {have} of {need} members; configs follow when all are there"


def engine_facts() -> EngineFacts:
    """The engine's own part of the configs: its URL and the site's SSH keys."""
    return EngineFacts(api_uri=settings.API_URI, ssh_keys=read_ssh_keys())


def read_ssh_keys() -> tuple[str, ...]:
    """Public keys from ENJOLIVER_SSH_KEYS: a file, or every file of a directory; sorted."""
    path = settings.SSH_KEYS_PATH
    files = sorted(path.iterdir()) if path.is_dir() else [path] if path.is_file() else []
    lines = {
        line.strip()
        for file in files
        if file.is_file()
        for line in file.read_text(errors="replace").splitlines()
    }
    # A public key has a type and a body; anything else in such a file is a comment.
    return tuple(sorted(line for line in lines if " " in line and not line.startswith("#")))


def config_fingerprint(profile_fingerprint: str, mac: str, metadata: Mapping[str, Any]) -> str:
    """SHA-256 over all that decides the bytes of one machine's config."""
    text = json.dumps(metadata, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    parts = f"{RENDER_VERSION}\n{profile_fingerprint}\n{mac}\n{text}"
    return hashlib.sha256(parts.encode()).hexdigest()
