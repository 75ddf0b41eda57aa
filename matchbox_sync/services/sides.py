"""Reading stored configs as sides of a comparison: constant queries for a batch."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from matchbox_sync.diff import Side
from matchbox_sync.documents import unpack, unpack_document
from matchbox_sync.models import MachineConfig, ProfileVersion


@dataclass(slots=True)
class SideReader:
    """Remembers the boot parts of profile versions: there are few, and many machines."""

    _boots: dict[int, Mapping[str, Any]] = field(default_factory=dict)

    def read(self, config_ids: Collection[int]) -> dict[int, Side]:
        """Config id to document, boot part and metadata."""
        rows = list(
            MachineConfig.objects.filter(pk__in=config_ids).values_list(
                "pk", "document__data", "document__base_id", "metadata_zstd", "version_id"
            )
        )
        self._learn({version_id for *_, version_id in rows})
        return {
            pk: Side(
                unpack_document(data, base), self._boots[version_id], json.loads(unpack(metadata))
            )
            for pk, data, base, metadata, version_id in rows
        }

    def _learn(self, version_ids: set[int]) -> None:
        unknown = version_ids - self._boots.keys()
        if unknown:
            rows = ProfileVersion.objects.filter(pk__in=unknown).values_list("pk", "boot")
            self._boots.update(rows)
