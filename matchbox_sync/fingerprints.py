"""Fingerprints of the last run, remembered by the process: equal inputs give equal ones.

Without it every sync would make the metadata of the whole fleet again, only to find that nothing
changed: for 10,000 machines most of a second, each 15 seconds (docs/performance.md).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from matchbox_sync.facts import EngineFacts, MachineFacts
from matchbox_sync.metadata import render_metadata
from matchbox_sync.targets import config_fingerprint


@dataclass(slots=True)
class Fingerprints:
    """The fingerprints of one cluster under one set of values; one instance a run."""

    cluster_name: str
    values: Mapping[str, Any]
    engine: EngineFacts
    _former: dict[tuple[str, MachineFacts], str] = field(default_factory=dict)
    _present: dict[tuple[str, MachineFacts], str] = field(default_factory=dict)

    @classmethod
    def recall(
        cls, cluster_name: str, *, values: Mapping[str, Any], engine: EngineFacts
    ) -> Fingerprints:
        """Start a run with what the last one in this process found under the same values."""
        inputs = json.dumps([values, engine.api_uri, engine.ssh_keys], sort_keys=True, default=str)
        context, former = _remembered.get(cluster_name, ("", {}))
        fingerprints = cls(cluster_name, values, engine, former if context == inputs else {})
        # What this run does not ask for again is forgotten with `former`.
        _remembered[cluster_name] = (inputs, fingerprints._present)
        return fingerprints

    def metadata_of(self, facts: MachineFacts) -> dict[str, Any]:
        """What the machine's config is rendered with."""
        return render_metadata(
            machine=facts, cluster_name=self.cluster_name, values=self.values, engine=self.engine
        )

    def of(self, facts: MachineFacts, profile_fingerprint: str) -> str:
        """The fingerprint of one machine's config under one content of its profile."""
        key = (profile_fingerprint, facts)
        found = self._former.get(key)
        if found is None:
            found = config_fingerprint(profile_fingerprint, facts.mac, self.metadata_of(facts))
        self._present[key] = found
        return found


_remembered: dict[str, tuple[str, dict[tuple[str, MachineFacts], str]]] = {}
