"""Content: what decides the configs beside the machines' own facts. Profiles, values, engine.

*Live* content is what templates and values say now; content *in force* is what the newest
revision was made of. They differ while a change waits for approval, and after a rollback.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from matchbox_sync.facts import EngineFacts, MachineFacts
from matchbox_sync.metadata import render_metadata
from matchbox_sync.models import ProfileVersion
from scheduling.roles import PROFILE_DISCOVERY
from scheduling.values import merge_values


@dataclass(frozen=True, slots=True)
class Content:
    """One content of a cluster: a version of each profile, all values, the engine's part."""

    versions: Mapping[str, ProfileVersion]
    values: Mapping[str, Any]
    engine: EngineFacts

    @property
    def fingerprint(self) -> str:
        """SHA-256 over everything in it."""
        profiles = sorted((name, row.fingerprint) for name, row in self.versions.items())
        text = json.dumps(
            [profiles, self.values, asdict(self.engine)], sort_keys=True, ensure_ascii=False
        )
        return hashlib.sha256(text.encode()).hexdigest()


def engine_to_json(engine: EngineFacts) -> dict[str, Any]:
    """As it is kept with a revision."""
    return {"api_uri": engine.api_uri, "ssh_keys": list(engine.ssh_keys)}


def engine_from_json(document: Mapping[str, Any]) -> EngineFacts:
    """Undo `engine_to_json`."""
    return EngineFacts(document["api_uri"], tuple(document["ssh_keys"]))


def affected_profiles(old: Content, new: Content) -> list[str]:
    """Profiles of which some machine may get another config under `new`, sorted.

    Values that a template reads show in its profile's version. Values and engine facts that
    metadata is made of count for every role; some of them matter for a few machines only.
    """
    changed = set(changed_versions(old, new))
    if changed_values(old, new) & machine_value_keys() or old.engine != new.engine:
        changed |= new.versions.keys() - {PROFILE_DISCOVERY}
    return sorted(changed)


def changed_versions(old: Content, new: Content) -> list[str]:
    """Profiles whose template or boot part differs, sorted."""
    return sorted(
        name
        for name, version in new.versions.items()
        if name not in old.versions or old.versions[name].fingerprint != version.fingerprint
    )


def changed_values(old: Content, new: Content) -> set[str]:
    """Names of the values that differ."""
    keys = old.values.keys() | new.values.keys()
    return {key for key in keys if old.values.get(key) != new.values.get(key)}


class _Recorder(Mapping[str, Any]):
    """Values that remember which of them were read."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values_, self.read = values, set[str]()

    def __getitem__(self, key: str) -> Any:
        self.read.add(key)
        return self.values_[key]

    def __iter__(self) -> Iterator[str]:
        self.read.update(self.values_)
        return iter(self.values_)

    def __len__(self) -> int:
        return len(self.values_)


@lru_cache(maxsize=1)
def machine_value_keys() -> frozenset[str]:
    """The values that a machine's render metadata is made of: found by making some."""
    recorder = _Recorder(merge_values({}))
    # A machine with a disk, an address and a place in the pod network: no part is left out.
    facts = MachineFacts(
        uuid="", mac="", interface_name="", ipv4="192.0.2.1", prefix=24, gateway="", fqdn="",
        pod_index=0, failure_domain="", disk_bytes=1 << 30, roles=(), profile="",
    )  # fmt: skip
    engine = EngineFacts("", ())
    render_metadata(machine=facts, cluster_name="", values=recorder, engine=engine)
    return frozenset(recorder.read)
