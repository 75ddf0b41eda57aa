"""Publishing: make matchbox's directory say what the database says, in an order that is safe.

Templates, `.r<N>` profiles, groups of held-back machines, plain profiles, the other groups,
deletions: at every moment each group's profile and template are there (see docs/decisions).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from matchbox_sync.documents import unpack
from matchbox_sync.metadata import membership_metadata
from matchbox_sync.models import DesiredConfig, MachineConfig, ProfileInForce, ProfileVersion
from matchbox_sync.naming import (
    DEFAULT_CLUSTER,
    group_id,
    held_profile,
    published_profile,
)
from matchbox_sync.store import MatchboxStore
from matchbox_sync.targets import read_members
from scheduling.models import Cluster
from scheduling.roles import PROFILE_DISCOVERY

_CHUNK = 500


def _dump(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class _Placed:
    """One machine's group: which file, which profile, made from which config."""

    path: str
    key: str
    config_id: int
    profile: str
    mac: str
    is_held: bool


class Publisher:
    """Publishes one cluster. Raises OSError when the directory cannot be written."""

    def __init__(self, cluster: Cluster, values: Mapping[str, Any]) -> None:
        self.cluster = cluster
        self.store = MatchboxStore(settings.MATCHBOX_PATH, cluster.name)
        self.membership = membership_metadata(members=read_members(cluster), values=values)
        self._membership_key = hashlib.sha256(
            json.dumps(self.membership, sort_keys=True).encode()
        ).hexdigest()[:16]
        self._in_force: dict[str, ProfileVersion] = {}

    def reconcile(self) -> None:
        """Compare everything with the directory; write and delete only what differs."""
        self._in_force = {
            row.profile: row.version
            for row in ProfileInForce.objects.filter(cluster=self.cluster).select_related("version")
        }
        placed = list(self._placed())
        held = [group for group in placed if group.is_held]
        templates = self._put_templates(placed)
        profiles = self._put_held_profiles(held)
        self._put_groups(held)
        profiles |= self._put_plain_profiles()
        self._put_groups([group for group in placed if not group.is_held])
        groups = {group.path for group in placed} | self._put_discovery_group()
        for folder, wanted in (("groups", groups), ("profiles", profiles), ("ignition", templates)):
            self.store.delete_others(folder, wanted)
        self.store.save()

    def publish_machines(self, machine_ids: Iterable[int]) -> None:
        """Write the groups of machines whose config just changed (profiles are there already)."""
        self._put_groups(list(self._placed(machine_ids)))

    def _placed(self, machine_ids: Iterable[int] | None = None) -> Iterable[_Placed]:
        rows = DesiredConfig.objects.filter(config__revision__cluster=self.cluster)
        if machine_ids is not None:
            rows = rows.filter(pk__in=list(machine_ids))
        in_force = {profile: version.pk for profile, version in self._in_force.items()}
        columns = rows.order_by("pk").values_list(
            "profile", "config_id", "config__mac", "config__version_id", "config__revision__number"
        )
        for profile, config_id, mac, version_id, number in columns.iterator(chunk_size=2000):
            plain = published_profile(self.cluster.name, profile)
            is_held = in_force.get(profile) != version_id
            name = held_profile(plain, number) if is_held else plain
            yield _Placed(
                path=f"groups/{group_id(plain, mac)}.json",
                key=f"{config_id}:{name}:{self._membership_key}",
                config_id=config_id,
                profile=name,
                mac=mac,
                is_held=is_held,
            )

    def _put_groups(self, groups: list[_Placed]) -> None:
        stale = [group for group in groups if not self.store.is_current(group.path, group.key)]
        for start in range(0, len(stale), _CHUNK):
            chunk = stale[start : start + _CHUNK]
            packed = dict(
                MachineConfig.objects.filter(pk__in=[g.config_id for g in chunk]).values_list(
                    "pk", "metadata_zstd"
                )
            )
            for group in chunk:
                if group.config_id not in packed:
                    continue  # its machine was released and forgotten since it was read
                metadata = json.loads(unpack(packed[group.config_id])) | self.membership
                self.store.put(group.path, group.key, _dump(_group_document(group, metadata)))

    def _put_templates(self, placed: list[_Placed]) -> set[str]:
        used = {version.pk for version in self._in_force.values()}
        used |= set(
            DesiredConfig.objects.filter(config__revision__cluster=self.cluster)
            .values_list("config__version_id", flat=True)
            .distinct()
        )
        wanted = set()
        for pk, name, fingerprint in ProfileVersion.objects.filter(pk__in=used).values_list(
            "pk", "template_name", "fingerprint"
        ):
            path = f"ignition/{name}"
            wanted.add(path)
            if not self.store.is_current(path, fingerprint):
                text = ProfileVersion.objects.values_list("template", flat=True).get(pk=pk)
                self.store.put(path, fingerprint, text.encode())
        return wanted

    def _put_held_profiles(self, held: list[_Placed]) -> set[str]:
        by_name = {group.profile: group.config_id for group in held}
        versions = {
            config.pk: config.version
            for config in MachineConfig.objects.filter(pk__in=by_name.values()).select_related(
                "version"
            )
        }
        return {
            self._put_profile(name, versions[config_id])
            for name, config_id in by_name.items()
            if config_id in versions
        }

    def _put_plain_profiles(self) -> set[str]:
        return {
            self._put_profile(published_profile(self.cluster.name, profile), version)
            for profile, version in self._in_force.items()
        }

    def _put_profile(self, name: str, version: ProfileVersion) -> str:
        path = f"profiles/{name}.json"
        if not self.store.is_current(path, version.fingerprint):
            document = {
                "id": name,
                "name": name,
                "boot": version.boot,
                "ignition_id": version.template_name,
            }
            self.store.put(path, version.fingerprint, _dump(document))
        return path

    def _put_discovery_group(self) -> set[str]:
        version = self._in_force.get(PROFILE_DISCOVERY)
        if version is None or self.cluster.name != DEFAULT_CLUSTER:
            return set()
        path = f"groups/{PROFILE_DISCOVERY}.json"
        if not self.store.is_current(path, version.fingerprint):
            document = {
                "id": PROFILE_DISCOVERY,
                "name": PROFILE_DISCOVERY,
                "profile": PROFILE_DISCOVERY,
                "metadata": version.metadata,
            }
            self.store.put(path, version.fingerprint, _dump(document))
        return {path}


def _group_document(group: _Placed, metadata: Mapping[str, Any]) -> dict[str, Any]:
    name = group.path.removeprefix("groups/").removesuffix(".json")
    return {
        "id": name,
        "name": name,
        "profile": group.profile,
        "selector": {"mac": group.mac, "os": "installed"},
        "metadata": metadata,
    }
