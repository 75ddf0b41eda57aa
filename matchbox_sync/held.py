"""Reads for the boot routes: what the engine holds, so that matchbox need not be asked.

A machine with a role gets its verified content only; a machine without one the discovery content.
The rules of selection are those of the published groups: `mac` and `os=installed` select a role.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from enjoliver.common.errors import IdentityConflict
from machines.models import Interface
from matchbox_sync.documents import unpack, unpack_document
from matchbox_sync.models import DesiredConfig, ProfileInForce, SyncState
from matchbox_sync.naming import DEFAULT_CLUSTER
from scheduling.roles import PROFILE_DISCOVERY


@dataclass(frozen=True, slots=True)
class Asker:
    """The machine that a boot query names, as far as it matters for what it gets.

    `profile` is empty without a complete role; `is_ready` says that a verified config for that
    *present* role is held.
    """

    machine_id: int
    uuid: str
    profile: str
    is_installed: bool
    is_ready: bool


_ASKER_COLUMNS = (
    "machine_id",
    "machine__uuid",
    "machine__installed_at",
    "machine__reinstall_requested_at",
    "machine__assignment__profile",
    "machine__desired__profile",
)


def find_asker(mac: str, uuid: str | None) -> Asker | None:
    """The machine with this MAC (on any interface) and UUID, in one query; None for an unknown one.

    Raises IdentityConflict when the MAC is known, but under other UUIDs only. Without a UUID the
    role holder is meant: a MAC has at most one.
    """
    rows = Interface.objects.filter(mac=mac).order_by("machine_id").values_list(*_ASKER_COLUMNS)
    askers = {row[0]: _asker(*row) for row in rows[:16]}
    if uuid:
        matching = [asker for asker in askers.values() if asker.uuid == uuid]
        if askers and not matching:
            raise IdentityConflict(f"{mac} belongs to another machine than UUID {uuid}")
        return matching[0] if matching else None
    by_role = sorted(askers.values(), key=lambda a: (not a.profile, not a.is_installed))
    return by_role[0] if by_role else None


def _asker(
    machine_id: int,
    uuid: str,
    installed_at: Any,
    reinstall_at: Any,
    profile: str | None,
    held_profile: str | None,
) -> Asker:
    return Asker(
        machine_id=machine_id,
        uuid=uuid,
        profile=profile or "",
        is_installed=installed_at is not None and reinstall_at is None,
        is_ready=bool(profile) and profile == held_profile,
    )


def machine_document(machine_id: int) -> tuple[str, bytes] | None:
    """(SHA-512, body) of a machine's desired config; None when it has none (any more)."""
    columns = ("sha512", "config__document__data", "config__document__base_id")
    row = DesiredConfig.objects.filter(pk=machine_id).values_list(*columns).first()
    if row is None:
        return None
    sha512, data, base = row
    return sha512, unpack_document(data, base)


def machine_script(machine_id: int) -> str | None:
    """The iPXE script of a machine's desired profile version; None as above."""
    rows = DesiredConfig.objects.filter(pk=machine_id)
    return rows.values_list("config__version__ipxe_script", flat=True).first()


def machine_metadata(machine_id: int) -> tuple[int, str, dict[str, Any]] | None:
    """(cluster id, selector MAC, render metadata) of a machine's desired config; None as above."""
    columns = ("config__revision__cluster_id", "config__mac", "config__metadata_zstd")
    row = DesiredConfig.objects.filter(pk=machine_id).values_list(*columns).first()
    if row is None:
        return None
    cluster_id, mac, packed = row
    return cluster_id, mac, json.loads(unpack(packed))


@dataclass(frozen=True, slots=True)
class Discovery:
    """The discovery profile in force."""

    script: str
    sha512: str
    body: bytes
    metadata: dict[str, Any]


def discovery_content() -> Discovery | None:
    """What a machine without a role gets; None before the first sync."""
    row = (
        ProfileInForce.objects.filter(cluster__name=DEFAULT_CLUSTER, profile=PROFILE_DISCOVERY)
        .values_list(
            "version__ipxe_script",
            "version__document_id",
            "version__document__data",
            "version__metadata",
        )
        .first()
    )
    if row is None:
        return None
    script, sha512, data, metadata = row
    return Discovery(script, sha512, unpack_document(data, None), metadata)


def discovery_script() -> str | None:
    """Only the iPXE script of `discovery_content`."""
    return (
        ProfileInForce.objects.filter(cluster__name=DEFAULT_CLUSTER, profile=PROFILE_DISCOVERY)
        .annotate(script=F("version__ipxe_script"))
        .values_list("script", flat=True)
        .first()
    )


def gate_timestamp(cluster_name: str = DEFAULT_CLUSTER) -> float | None:
    """When the sync last said that the configs are good (Unix time), None when that is too old.

    A time stamp from the future comes from a clock that stepped back and counts as too old.
    """
    notified = (
        SyncState.objects.filter(cluster__name=cluster_name)
        .values_list("notified_at", flat=True)
        .first()
    )
    if notified is None:
        return None
    ttl = timedelta(seconds=settings.SYNC_NOTIFY_TTL_SECONDS)
    age = timezone.now() - notified
    return notified.timestamp() if -ttl <= age <= ttl else None
