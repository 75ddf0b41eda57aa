"""Plans from stored configs: what a revision changes, and what lies between two of them.

Nothing is rendered: both sides were, when their revisions were made.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from machines.models import Machine
from matchbox_sync.models import DesiredConfig, MachineConfig, Revision
from matchbox_sync.planned import (
    FIRST,
    UNCHANGED,
    WAITING,
    Builder,
    Plan,
    PlannedMachine,
    Progress,
)
from matchbox_sync.services.assigning import BATCH, wanted_configs
from matchbox_sync.services.sides import SideReader
from scheduling.models import Assignment, Cluster

Ids = Mapping[int, int | None]


def plan_revision(
    *, cluster: Cluster, revision: Revision | None = None, progress: Progress | None = None
) -> Plan:
    """What moves when all machines get their newest config, or that as of `revision`.

    From the desired config of each machine that has one.
    """
    rows = DesiredConfig.objects.filter(config__revision__cluster=cluster)
    before = dict(rows.order_by("pk").values_list("pk", "config_id"))
    after = _as_of(list(before), revision)
    title = str(revision) if revision else "the newest configs"
    return _plan(f"{title}, compared with what is desired now", before, after, progress)


def compare_revisions(
    *,
    old: Revision,
    new: Revision,
    machine_ids: Collection[int] | None = None,
    progress: Progress | None = None,
) -> Plan:
    """What lies between two revisions of a cluster, for all machines that had a config in them.

    With `machine_ids` for these only. A machine that came later has no change, but a first config.
    """
    if machine_ids is None:
        configs = MachineConfig.objects.filter(revision__cluster=new.cluster_id)
        machine_ids = sorted(configs.order_by().values_list("machine_id", flat=True).distinct())
    title = f"{new}, compared with {old}"
    return _plan(title, _as_of(machine_ids, old), _as_of(machine_ids, new), progress)


def _as_of(machine_ids: Collection[int], revision: Revision | None) -> dict[int, int | None]:
    ordered = sorted(machine_ids)
    found: dict[int, int | None] = dict.fromkeys(ordered)
    for start in range(0, len(ordered), BATCH):
        wanted = wanted_configs(ordered[start : start + BATCH], revision)
        found |= {pk: config_id for pk, (config_id, _) in wanted.items()}
    return found


def _plan(title: str, before: Ids, after: Ids, progress: Progress | None) -> Plan:
    builder, reader = Builder(), SideReader()
    known = [pk for pk in after if before.get(pk) or after[pk]]
    machines = describe_machines(known)
    known = [pk for pk in known if pk in machines]  # others were forgotten since they were read
    changed = [pk for pk in known if before.get(pk) and after[pk] and before[pk] != after[pk]]
    for pk in known:
        outcome, reason = _without_pair(before.get(pk), after[pk])
        builder.add(_machine(machines[pk], outcome, reason))
    for start in range(0, len(changed), BATCH):
        batch = changed[start : start + BATCH]
        sides = reader.read([pk for one in batch for pk in (before[one], after[one]) if pk])
        for one in batch:
            old, new = before[one], after[one]
            if old in sides and new in sides:  # else it was forgotten, or pruned
                builder.add_pair(machines[one], sides[old], sides[new])
        if progress:
            progress(start + len(batch), len(changed))
    return builder.build(title)


def _without_pair(before: int | None, after: int | None) -> tuple[str, str]:
    if after is None:
        return WAITING, "it had no config as of this revision"
    return (UNCHANGED, "") if before else (FIRST, "")


def _machine(machine: PlannedMachine, outcome: str, reason: str) -> PlannedMachine:
    return PlannedMachine(
        machine.id, machine.name, machine.mac, machine.profile, outcome, reason=reason
    )


def describe_machines(machine_ids: Collection[int]) -> dict[int, PlannedMachine]:
    """Name, MAC and profile as pinned; of a machine without a role as it last reported."""
    ordered = sorted(machine_ids)
    found: dict[int, PlannedMachine] = {}
    for start in range(0, len(ordered), BATCH):
        batch = ordered[start : start + BATCH]
        for pk, mac in Machine.objects.filter(pk__in=batch).values_list("pk", "boot_mac"):
            found[pk] = PlannedMachine(pk, mac or str(pk), mac or "", "", UNCHANGED)
        rows = Assignment.objects.filter(machine__in=batch)
        for pk, fqdn, mac, profile in rows.values_list("machine_id", "fqdn", "boot_mac", "profile"):
            found[pk] = PlannedMachine(pk, fqdn or mac, mac, profile, UNCHANGED)
    return found
