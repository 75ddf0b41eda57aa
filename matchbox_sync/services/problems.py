"""What a sync could not do: collected during the run, compared with the rows at its end."""

from __future__ import annotations

import logging
from typing import Protocol

from django.db import transaction
from django.utils import timezone

from matchbox_sync.models import Problem
from scheduling.models import Cluster

logger = logging.getLogger(__name__)
_Key = tuple[str, int | None, str, str]


class Reports(Protocol):
    """Where problems go: the rows of a sync, or the answer of a plan."""

    def report(
        self, *, stage: str, message: str, profile: str = "", machine_id: int | None = None
    ) -> None:
        """Note one problem; `stage` is compose, render, verify or publish."""


class Problems:
    """The problems of one run. Rows that are still true keep their `since`."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._found: set[_Key] = set()
        self._kept_stages: set[str] = set()

    def keep(self, stage: str) -> None:
        """Leave the rows of a stage that did not run this time as they are."""
        self._kept_stages.add(stage)

    def report(
        self, *, stage: str, message: str, profile: str = "", machine_id: int | None = None
    ) -> None:
        """Note one problem; `stage` is compose, render, verify or publish."""
        key = (profile, machine_id, stage, message[:2000])
        if key not in self._found:
            self._found.add(key)
            logger.warning("sync of %s, %s %s: %s", self.cluster, profile, stage, message)

    def __len__(self) -> int:
        return len(self._found)

    def of_profile(self, profile: str) -> bool:
        """True when the whole of `profile` has a problem."""
        return any(key[0] in ("", profile) and key[1] is None for key in self._found)

    def has_stage(self, stage: str) -> bool:
        """True when a problem of this stage was noted."""
        return any(key[2] == stage for key in self._found)

    def store(self) -> None:
        """Make the rows say what this run found; writes only differences."""
        rows = {
            (row.profile, row.machine_id, row.stage, row.message): row.pk
            for row in Problem.objects.filter(cluster=self.cluster)
        }
        gone = [
            pk
            for key, pk in rows.items()
            if key not in self._found and key[2] not in self._kept_stages
        ]
        new = [key for key in self._found if key not in rows]
        if not gone and not new:
            return
        now = timezone.now()
        with transaction.atomic():
            for start in range(0, len(gone), 500):
                Problem.objects.filter(pk__in=gone[start : start + 500]).delete()
            Problem.objects.bulk_create(
                [
                    Problem(
                        cluster=self.cluster,
                        profile=profile,
                        machine_id=machine_id,
                        stage=stage,
                        message=message,
                        since=now,
                    )
                    for profile, machine_id, stage, message in sorted(new, key=str)
                ],
                batch_size=500,
            )
