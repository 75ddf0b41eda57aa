"""Which config is the desired one of a machine: the only writers beside the sync itself."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial

from django.db import transaction
from django.db.models import F, OuterRef, QuerySet, Subquery
from django.utils import timezone

from enjoliver.common.errors import NotFound
from machines.models import Machine
from machines.services import record_events
from matchbox_sync.models import DesiredConfig, MachineConfig, Revision
from matchbox_sync.signals import desired_changed

BATCH = 500
"""Machines in one transaction: other writers wait for it."""


def assign_revisions(
    *, machine_ids: Collection[int], actor: str, revision: Revision | None = None
) -> set[int]:
    """Make the newest config of each machine its desired one, or its config as of `revision`.

    As of a revision: the newest one with its number or a lower one. Returns the ids of machines
    whose desired config moved; those without such a config stay as they are. A constant number
    of queries for each 500 machines; each batch is a transaction of its own.
    """
    ordered = sorted(set(machine_ids))
    moved: set[int] = set()
    for start in range(0, len(ordered), BATCH):
        moved |= _assign_batch(ordered[start : start + BATCH], revision, actor)
    return moved


def assign_revision(*, machine: Machine, revision: Revision, actor: str) -> DesiredConfig:
    """`assign_revisions` for one machine; raises NotFound when it had no config as of then."""
    if not _configs_as_of(revision).filter(machine=machine).exists():
        raise NotFound(f"{machine} has no config as of {revision}")
    assign_revisions(machine_ids=[machine.pk], actor=actor, revision=revision)
    desired = DesiredConfig.objects.filter(machine=machine).first()
    if desired is None:
        raise NotFound(f"{machine} has no role any more")
    return desired


def _configs_as_of(revision: Revision) -> QuerySet[MachineConfig]:
    return MachineConfig.objects.filter(
        revision__cluster=revision.cluster_id, revision__number__lte=revision.number
    ).order_by("-revision__number")


def _assign_batch(machine_ids: Sequence[int], revision: Revision | None, actor: str) -> set[int]:
    with transaction.atomic():
        wanted = wanted_configs(machine_ids, revision)
        # Locked in one order for everybody, or two that move the same machines wait for ever.
        rows = DesiredConfig.objects.filter(pk__in=wanted).select_for_update().order_by("pk")
        moved = {pk for pk, held in rows.values_list("pk", "config_id") if held != wanted[pk][0]}
        if not moved:
            return set()
        # Two statements for all of them; no row is read here and written there.
        rows = DesiredConfig.objects.filter(pk__in=moved)
        rows.update(
            previous_id=F("config_id"),
            config_id=F("newest_id") if revision is None else _as_of(revision),
        )
        rows.update(
            profile=_column("version__profile"),
            sha512=_column("document_id"),
            canonical_sha512=_column("canonical_sha512"),
            assigned_at=timezone.now(),
        )
        record_events(
            kind="revision_assigned",
            messages={
                pk: f"desired config is now the one of revision {wanted[pk][1]}" for pk in moved
            },
            actor=actor,
        )
        transaction.on_commit(
            partial(desired_changed.send_robust, sender=None, machine_ids=sorted(moved))
        )
    return moved


def wanted_configs(
    machine_ids: Sequence[int], revision: Revision | None
) -> dict[int, tuple[int, int]]:
    """Machine id to (config id, its revision's number): the newest one, or as of `revision`."""
    if revision is None:
        rows = DesiredConfig.objects.filter(pk__in=machine_ids).values_list(
            "pk", "newest_id", "newest__revision__number"
        )
        return {pk: (config, number) for pk, config, number in rows}
    configs = _configs_as_of(revision).filter(machine__in=machine_ids).order_by("revision__number")
    columns = configs.values_list("machine_id", "pk", "revision__number")
    return {machine_id: (config, number) for machine_id, config, number in columns}


def _as_of(revision: Revision) -> Subquery:
    return Subquery(_configs_as_of(revision).filter(machine=OuterRef("pk")).values("pk")[:1])


def _column(name: str) -> Subquery:
    return Subquery(MachineConfig.objects.filter(pk=OuterRef("config_id")).values(name)[:1])
