"""One sync of one cluster: compose, render, verify, publish, record; resumable at every line."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from enjoliver.common.leases import HeldLease, hold_lease
from matchbox_sync.fingerprints import Fingerprints
from matchbox_sync.metadata import EngineFacts
from matchbox_sync.models import DesiredConfig, ProfileInForce, Revision, SyncState
from matchbox_sync.renderer import PrivateMatchbox
from matchbox_sync.services.compare import compare_public
from matchbox_sync.services.configs import BATCH, Change, render_batch, store_batch
from matchbox_sync.services.problems import Problems
from matchbox_sync.services.publish import Publisher
from matchbox_sync.services.versions import Prepared, prepare_profiles
from matchbox_sync.targets import Target, engine_facts, read_members, read_targets
from scheduling.models import Cluster
from scheduling.roles import PROFILE_CONTROL_PLANE
from scheduling.values import cluster_values

logger = logging.getLogger(__name__)
LEASE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class SyncResult:
    """What one run did."""

    revision: int | None
    rendered: int
    written: int
    deleted: int
    problems: int
    seconds: float


def sync_cluster(*, cluster: Cluster) -> SyncResult | None:
    """Bring the cluster's configs up to its intent; None when another worker is at it.

    Raises nothing for a broken template, a broken machine or a directory that cannot be written:
    those become Problem rows, and the last good configs stay in force.
    """
    with hold_lease(f"sync:{cluster.name}", seconds=LEASE_SECONDS) as lease:
        if lease is None:
            return None
        with PrivateMatchbox() as matchbox:
            return _Run(cluster, lease, matchbox).run()


class _Run:
    """The state of one run; each method is one step."""

    def __init__(self, cluster: Cluster, lease: HeldLease, matchbox: PrivateMatchbox) -> None:
        self.cluster, self.lease, self.matchbox = cluster, lease, matchbox
        self.problems = Problems(cluster)
        self.values: Mapping[str, Any] = cluster_values(cluster)
        self.engine: EngineFacts = engine_facts()
        self.fingerprints = Fingerprints.recall(
            cluster.name, values=self.values, engine=self.engine
        )
        self.prepared: dict[str, Prepared] = {}
        self.revision: Revision | None = None
        self.rendered = 0
        self.started = time.monotonic()

    def run(self) -> SyncResult:
        SyncState.objects.update_or_create(
            cluster=self.cluster, defaults={"started_at": timezone.now(), "done": 0, "total": 0}
        )
        self.prepared = prepare_profiles(
            cluster=self.cluster,
            values=self.values,
            engine=self.engine,
            matchbox=self.matchbox,
            problems=self.problems,
        )
        changes, present = self._find_changes()
        new_profiles = self._new_profiles()
        if changes or new_profiles:
            self.revision = self._open_revision(changes, new_profiles)
        publisher = self._reconcile(None)
        self._render(changes, publisher)
        self._forget_released(present)
        if self.rendered or self._released:
            publisher = self._reconcile(publisher)
        self._close_revision()
        if publisher and publisher.store.writes:
            compare_public(self.cluster, self.problems)
        else:
            self.problems.keep("compare")  # not asked again while nothing is written
        return self._finish(publisher)

    # --- what changed --------------------------------------------------------------------------

    def _find_changes(self) -> tuple[list[Change], set[int]]:
        """Machines whose newest config has another fingerprint than their inputs give now."""
        newest = dict(
            DesiredConfig.objects.filter(newest__revision__cluster=self.cluster).values_list(
                "machine_id", "newest__fingerprint"
            )
        )
        incomplete = self._control_plane_is_incomplete()
        changes, present = [], set()
        for target in read_targets(self.cluster):
            present.add(target.machine_id)
            if target.profile not in self.prepared:
                continue
            known = newest.get(target.machine_id)
            if known is None and incomplete and target.profile == PROFILE_CONTROL_PLANE:
                self.problems.report(
                    stage="verify",
                    profile=target.profile,
                    machine_id=target.machine_id,
                    message=incomplete,
                )
                continue
            change = self._change_of(target)
            if change.fingerprint != known:
                changes.append(change)
        return changes, present

    def _control_plane_is_incomplete(self) -> str:
        """A reason while members are missing: etcd must not start with a part of its list."""
        have, need = len(read_members(self.cluster)), self.cluster.control_plane_size
        if have >= need:
            return ""
        return f"the control plane has {have} of {need} members; configs follow when all are there"

    def _change_of(self, target: Target) -> Change:
        version = self.prepared[target.profile].version
        return Change(target, self.fingerprints.of(target.facts, version.fingerprint))

    def _metadata_of(self, target: Target) -> dict[str, Any]:
        return self.fingerprints.metadata_of(target.facts)

    def _new_profiles(self) -> list[str]:
        in_force = dict(
            ProfileInForce.objects.filter(cluster=self.cluster).values_list("profile", "version_id")
        )
        return [
            name
            for name, prepared in self.prepared.items()
            if in_force.get(name) != prepared.version.pk
        ]

    # --- the revision --------------------------------------------------------------------------

    def _open_revision(self, changes: list[Change], new_profiles: list[str]) -> Revision:
        """A new revision, or the unfinished one of a killed run with the same content."""
        with transaction.atomic():
            for name in new_profiles:
                ProfileInForce.objects.update_or_create(
                    cluster=self.cluster,
                    profile=name,
                    defaults={"version": self.prepared[name].version},
                )
            versions = [
                row.version
                for row in ProfileInForce.objects.filter(cluster=self.cluster)
                .select_related("version")
                .order_by("profile")
            ]
            content = "\n".join(f"{v.profile} {v.fingerprint}" for v in versions)
            fingerprint = hashlib.sha256(content.encode()).hexdigest()
            newest = Revision.objects.filter(cluster=self.cluster).order_by("-number").first()
            if newest and newest.completed_at is None and newest.fingerprint == fingerprint:
                return newest
            highest = Revision.objects.filter(cluster=self.cluster).aggregate(n=Max("number"))["n"]
            revision = Revision.objects.create(
                cluster=self.cluster,
                number=(highest or 0) + 1,
                fingerprint=fingerprint,
                cause=_cause(changes, new_profiles),
                created_at=timezone.now(),
            )
            revision.profiles.set(versions)
        logger.info("revision %s of %s: %s", revision.number, self.cluster, revision.cause)
        return revision

    def _close_revision(self) -> None:
        if self.revision is None:
            return
        machines = self.revision.configs.count()
        Revision.objects.filter(pk=self.revision.pk).update(
            completed_at=timezone.now(), machines_changed=machines
        )

    # --- rendering and publishing --------------------------------------------------------------

    def _render(self, changes: list[Change], publisher: Publisher | None) -> None:
        changes.sort(key=lambda change: change.target.profile)
        total = len(changes)
        for profile, prepared in self.prepared.items():
            mine = [change for change in changes if change.target.profile == profile]
            for start in range(0, len(mine), BATCH):
                self.lease.renew()
                good = render_batch(
                    mine[start : start + BATCH],
                    metadata_of=self._metadata_of,
                    prepared=prepared,
                    matchbox=self.matchbox,
                    problems=self.problems,
                )
                if not good:
                    # What breaks a whole batch breaks the role: no use in trying all the others.
                    self.problems.report(
                        stage="render",
                        profile=profile,
                        message="a whole batch of machines failed; the others were not tried",
                    )
                    break
                if self.revision is None:
                    continue
                stored = store_batch(good, revision=self.revision, prepared=prepared)
                self.rendered += len(stored)
                self._publish(publisher, stored)
                SyncState.objects.filter(cluster=self.cluster).update(
                    done=self.rendered, total=total
                )

    def _publish(self, publisher: Publisher | None, machine_ids: list[int]) -> None:
        if publisher is None:
            return
        try:
            publisher.publish_machines(machine_ids)
        except OSError as error:
            self.problems.report(stage="publish", message=f"matchbox's directory: {error}")

    def _reconcile(self, publisher: Publisher | None) -> Publisher | None:
        try:
            publisher = publisher or Publisher(self.cluster, self.values)
            publisher.reconcile()
        except OSError as error:
            self.problems.report(stage="publish", message=f"matchbox's directory: {error}")
        return publisher

    _released = 0

    def _forget_released(self, present: set[int]) -> None:
        """Machines that lost their role have no desired config any more."""
        mine = DesiredConfig.objects.filter(config__revision__cluster=self.cluster)
        gone = [pk for pk in mine.values_list("pk", flat=True) if pk not in present]
        for start in range(0, len(gone), 500):
            DesiredConfig.objects.filter(pk__in=gone[start : start + 500]).delete()
        self._released = len(gone)

    # --- the end -------------------------------------------------------------------------------

    def _finish(self, publisher: Publisher | None) -> SyncResult:
        self.problems.store()
        now = timezone.now()
        seconds = time.monotonic() - self.started
        outcome = f"{self.rendered} rendered, {len(self.problems)} problems"
        row = {
            "finished_at": now,
            "duration_seconds": seconds,
            "outcome": outcome,
        }
        if not self.problems.has_stage("publish"):
            # Also when a profile is broken: what is published is the last good one.
            row["notified_at"] = now
        SyncState.objects.filter(cluster=self.cluster).update(**row)
        SyncState.objects.filter(
            cluster=self.cluster, first_synced_at=None, notified_at__isnull=False
        ).update(first_synced_at=now)
        return SyncResult(
            revision=self.revision.number if self.revision else None,
            rendered=self.rendered,
            written=publisher.store.writes if publisher else 0,
            deleted=publisher.store.deletions if publisher else 0,
            problems=len(self.problems),
            seconds=seconds,
        )


def _cause(changes: list[Change], new_profiles: list[str]) -> str:
    parts = []
    if new_profiles:
        parts.append(f"content of {', '.join(sorted(new_profiles))}")
    if changes:
        some = ", ".join(change.target.facts.fqdn or change.target.mac for change in changes[:3])
        more = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
        parts.append(f"{len(changes)} machine configs ({some}{more})")
    return "; ".join(parts)[:300]
