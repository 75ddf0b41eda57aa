"""One sync of one cluster: compose, render, verify, publish, record; resumable at every line."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from enjoliver.common.leases import HeldLease, hold_lease
from enjoliver.common.words import counted
from matchbox_sync.content import Content
from matchbox_sync.fingerprints import Fingerprints
from matchbox_sync.models import DesiredConfig, Revision, SyncState
from matchbox_sync.renderer import PrivateMatchbox
from matchbox_sync.services.compare import compare_public
from matchbox_sync.services.configs import (
    BATCH,
    REUSE_BATCH,
    Change,
    known_configs,
    render_batch,
    reuse_configs,
    store_batch,
)
from matchbox_sync.services.contents import (
    close_revision,
    newest_revision,
    open_revision,
    unfinished_revision,
    versions_in_force,
)
from matchbox_sync.services.pending import Choice, choose_content, settle_changes
from matchbox_sync.services.problems import Problems
from matchbox_sync.services.publish import Publisher
from matchbox_sync.services.versions import Prepared, prepare_profiles, restore_profiles
from matchbox_sync.targets import Target, engine_facts, missing_members, read_targets
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
    reused: int
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


class _Overtaken(Exception):
    """A rollback, or a decision, came after the content was chosen; the next run chooses again."""


class _Run:
    """The state of one run; each method is one step."""

    def __init__(self, cluster: Cluster, lease: HeldLease, matchbox: PrivateMatchbox) -> None:
        self.cluster, self.lease, self.matchbox = cluster, lease, matchbox
        self.problems = Problems(cluster)
        self.prepared: dict[str, Prepared] = {}
        self.choice: Choice
        self.fingerprints: Fingerprints
        self.revision: Revision | None = None
        self.rendered = self.reused = 0
        self.started = time.monotonic()

    def run(self) -> SyncResult:
        SyncState.objects.update_or_create(
            cluster=self.cluster, defaults={"started_at": timezone.now(), "done": 0, "total": 0}
        )
        self._choose()
        changes, present = self._find_changes()
        publisher = None
        try:
            self._take_up_revision(changes)
            publisher = self._reconcile(None)
            self._serve(changes, publisher)
        except _Overtaken:
            logger.info("sync of %s: another content is in force meanwhile", self.cluster)
            self.problems.keep("compare")
            return self._finish(publisher)
        self._forget_released(present)
        if self.rendered or self.reused or self._released:
            publisher = self._reconcile(publisher)
        if self.revision and not self._is_overtaken():
            close_revision(self.revision)
        if publisher and publisher.store.writes:
            compare_public(self.cluster, self.problems)
        else:
            self.problems.keep("compare")  # not asked again while nothing is written
        return self._finish(publisher)

    # --- which content -------------------------------------------------------------------------

    def _choose(self) -> None:
        """Compose live content; take it, or the one in force while somebody must decide on it."""
        values, engine = cluster_values(self.cluster), engine_facts()
        live = prepare_profiles(
            cluster=self.cluster,
            values=values,
            engine=engine,
            matchbox=self.matchbox,
            problems=self.problems,
        )
        versions = versions_in_force(self.cluster)
        versions |= {name: one.version for name, one in live.items()}
        self.choice = choose_content(self.cluster, Content(versions, values, engine))
        content = self.choice.content
        self.prepared = restore_profiles(content.versions) if self.choice.held else live
        self.fingerprints = Fingerprints.recall(
            self.cluster.name, values=content.values, engine=content.engine
        )

    # --- what changed --------------------------------------------------------------------------

    def _find_changes(self) -> tuple[list[Change], set[int]]:
        """Machines whose newest config has another fingerprint than their inputs give now."""
        newest = dict(
            DesiredConfig.objects.filter(newest__revision__cluster=self.cluster).values_list(
                "machine_id", "newest__fingerprint"
            )
        )
        incomplete = missing_members(self.cluster)
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

    def _change_of(self, target: Target) -> Change:
        version = self.prepared[target.profile].version
        return Change(target, self.fingerprints.of(target.facts, version.fingerprint))

    def _metadata_of(self, target: Target) -> dict[str, Any]:
        return self.fingerprints.metadata_of(target.facts)

    # --- the revision --------------------------------------------------------------------------

    def _take_up_revision(self, changes: list[Change]) -> None:
        """Open the revision of new content, or go on with the one that a killed run left."""
        if self.choice.is_new and self.choice.content.versions:
            self.revision = self._open_revision(changes)
            return
        left = unfinished_revision(self.cluster, self.choice.content)
        machine_ids = {change.target.machine_id for change in changes}
        done = set(left.configs.values_list("machine_id", flat=True)) if left else set()
        # A machine has one config a revision: one whose inputs changed since needs another one.
        self.revision = left if not done & machine_ids else None

    def _open_revision(self, changes: list[Change]) -> Revision:
        """Raises _Overtaken when something else would be chosen by now."""
        choice = self.choice
        try:
            with transaction.atomic():
                revision = open_revision(
                    cluster=self.cluster,
                    content=choice.content,
                    cause="; ".join(filter(None, (choice.cause, _machines(changes)))),
                    author=choice.author,
                    reason=choice.reason,
                    after=choice.after,
                )
                if choice.is_new and not settle_changes(self.cluster, revision, choice.approved):
                    raise _Overtaken
        except IntegrityError as error:
            if newest_revision(self.cluster) == choice.after:
                raise
            raise _Overtaken from error
        return revision

    def _is_overtaken(self) -> bool:
        """A rollback put another content into force while this run was rendering."""
        newest = newest_revision(self.cluster)
        return self.revision is not None and newest != self.revision

    # --- rendering and publishing --------------------------------------------------------------

    def _serve(self, changes: list[Change], publisher: Publisher | None) -> None:
        """Give every changed machine its config: one that was rendered before, or a new one."""
        self._total = len(changes)
        for profile, prepared in self.prepared.items():
            mine = [change for change in changes if change.target.profile == profile]
            mine = self._reuse(mine, prepared, publisher)
            self._render(mine, prepared, publisher)

    def _reuse(
        self, changes: list[Change], prepared: Prepared, publisher: Publisher | None
    ) -> list[Change]:
        """Serve what is known; returns the changes that must be rendered."""
        left = []
        for start in range(0, len(changes), REUSE_BATCH):
            self.lease.renew()
            batch = changes[start : start + REUSE_BATCH]
            known = known_configs(batch)
            if known and not self._is_overtaken():
                self.revision = self.revision or self._open_revision(changes)
                served = reuse_configs(known, revision=self.revision, prepared=prepared)
                self.reused += len(served)
                self._publish(publisher, served)
            left += [change for change in batch if change.target.machine_id not in known]
        return left

    def _render(
        self, changes: list[Change], prepared: Prepared, publisher: Publisher | None
    ) -> None:
        for start in range(0, len(changes), BATCH):
            self.lease.renew()
            good = render_batch(
                changes[start : start + BATCH],
                metadata_of=self._metadata_of,
                prepared=prepared,
                matchbox=self.matchbox,
                problems=self.problems,
            )
            if self._is_overtaken():
                return
            if not good:
                # What breaks a whole batch breaks the role: no use in trying all the others.
                self.problems.report(
                    stage="render",
                    profile=prepared.version.profile,
                    message="a whole batch of machines failed; the others were not tried",
                )
                return
            self.revision = self.revision or self._open_revision(changes)
            stored = store_batch(good, revision=self.revision, prepared=prepared)
            self.rendered += len(stored)
            self._publish(publisher, stored)
            SyncState.objects.filter(cluster=self.cluster).update(
                done=self.rendered + self.reused, total=self._total
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
            publisher = publisher or Publisher(self.cluster, self.choice.content.values)
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
        if self.reused:
            outcome += f", {self.reused} as rendered before"
        if self.choice.held:
            outcome += f"; {self.choice.held.get_state_display()}: {self.choice.held.summary}"
        row = {
            "finished_at": now,
            "duration_seconds": seconds,
            "outcome": outcome[:300],
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
            reused=self.reused,
            written=publisher.store.writes if publisher else 0,
            deleted=publisher.store.deletions if publisher else 0,
            problems=len(self.problems),
            seconds=seconds,
        )


def _machines(changes: list[Change]) -> str:
    if not changes:
        return ""
    some = ", ".join(change.target.facts.fqdn or change.target.mac for change in changes[:3])
    more = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
    return f"{counted(len(changes), 'machine config')} ({some}{more})"
