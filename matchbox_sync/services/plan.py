"""Plans of content that is not in force: render what would change, compare, publish nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from matchbox_sync.content import engine_from_json
from matchbox_sync.diff import Side
from matchbox_sync.facts import EngineFacts
from matchbox_sync.fingerprints import Fingerprints
from matchbox_sync.models import DesiredConfig, PendingChange
from matchbox_sync.planned import (
    CHANGED,
    FAILED,
    FIRST,
    UNCHANGED,
    WAITING,
    Builder,
    Plan,
    PlannedMachine,
    PlanProblem,
    Progress,
)
from matchbox_sync.renderer import PrivateMatchbox
from matchbox_sync.services.configs import BATCH, Change, known_configs, render_batch
from matchbox_sync.services.contents import versions_in_force
from matchbox_sync.services.sides import SideReader
from matchbox_sync.services.versions import Prepared, prepare_profiles, restore_profiles
from matchbox_sync.targets import (
    Target,
    engine_facts,
    missing_members,
    read_targets,
)
from scheduling.models import Cluster
from scheduling.roles import PROFILE_CONTROL_PLANE, PROFILE_DISCOVERY
from scheduling.services import preview_values
from scheduling.values import cluster_values, merge_values


def plan_change(
    *,
    cluster: Cluster,
    changes: Mapping[str, object] | None = None,
    replace: bool = False,
    templates: str | None = None,
    progress: Progress | None = None,
) -> Plan:
    """What `changes` of values and another directory of site templates would do.

    Without either: what the templates and values that are there now would do, also while they
    wait for an approval. Compared with what each machine is to run now. Raises InvalidInput for
    values that cannot be; a broken template is a problem of the plan.
    """
    before = cluster_values(cluster)
    changed = preview_values(cluster=cluster, changes=changes or {}, replace=replace)
    values = before | {key: after for key, (_, after) in changed.items()}
    engine, findings = engine_facts(), Findings()
    with PrivateMatchbox() as matchbox:
        prepared = prepare_profiles(
            cluster=cluster,
            values=values,
            engine=engine,
            matchbox=matchbox,
            problems=findings,
            site=templates,
            is_kept=False,
        )
        planner = _Planner(cluster, prepared, values, engine, matchbox, findings, progress)
        return planner.plan(_title(changed, templates), changed)


def plan_pending(*, change: PendingChange, progress: Progress | None = None) -> Plan:
    """What a change that waits, or was rejected, would do: from the very content that it keeps."""
    prepared = restore_profiles({row.profile: row for row in change.profiles.all()})
    values, engine = merge_values(change.values), engine_from_json(change.engine)
    with PrivateMatchbox() as matchbox:
        planner = _Planner(change.cluster, prepared, values, engine, matchbox, Findings(), progress)
        return planner.plan(str(change), {})


def _title(changed: Mapping[str, Any], templates: str | None) -> str:
    parts = [f"values {', '.join(changed)}"] if changed else []
    parts += [f"templates of {templates}"] if templates else []
    return "; ".join(parts) or "templates and values as they are now"


@dataclass(slots=True)
class Findings:
    """The problems of one plan: of whole profiles, and of machines by id."""

    problems: list[PlanProblem] = field(default_factory=list)
    machines: dict[int, str] = field(default_factory=dict)

    def report(
        self, *, stage: str, message: str, profile: str = "", machine_id: int | None = None
    ) -> None:
        """As `Problems.report`."""
        if machine_id is None:
            self.problems.append(PlanProblem(profile, stage, message))
        else:
            self.machines[machine_id] = f"{stage}: {message}"

    def of_profile(self, profile: str) -> str:
        """Why the whole profile cannot be made."""
        found = (p.message for p in self.problems if p.profile in ("", profile))
        return next(found, "its profile cannot be made")


@dataclass(slots=True)
class _Planner:
    cluster: Cluster
    prepared: Mapping[str, Prepared]
    values: Mapping[str, Any]
    engine: EngineFacts
    matchbox: PrivateMatchbox
    findings: Findings
    progress: Progress | None
    builder: Builder = field(default_factory=Builder)
    reader: SideReader = field(default_factory=SideReader)
    rendered: int = 0
    done: int = 0
    total: int = 0

    def plan(self, title: str, values: Mapping[str, tuple[Any, Any]]) -> Plan:
        desired = {
            machine_id: (config_id, fingerprint)
            for machine_id, config_id, fingerprint in DesiredConfig.objects.filter(
                config__revision__cluster=self.cluster
            ).values_list("machine_id", "config_id", "config__fingerprint")
        }
        changes = self._find_changes({pk: known for pk, (_, known) in desired.items()})
        self.total = len(changes)
        befores = {pk: config_id for pk, (config_id, _) in desired.items()}
        for profile, prepared in self.prepared.items():
            mine = [change for change in changes if change.target.profile == profile]
            self._look_at(mine, prepared, befores)
        return self.builder.build(
            title,
            problems=self.findings.problems,
            notes=self._notes(),
            values=values,
            rendered=self.rendered,
        )

    def _notes(self) -> list[str]:
        """What concerns no machine that has a role."""
        new = self.prepared.get(PROFILE_DISCOVERY)
        held = versions_in_force(self.cluster).get(PROFILE_DISCOVERY)
        if new is None or (held and held.fingerprint == new.version.fingerprint):
            return []
        return ["machines without a role would boot another discovery system"]

    def _find_changes(self, known: Mapping[int, str]) -> list[Change]:
        """Machines whose inputs would differ; all others are in the plan already."""
        fingerprints = Fingerprints(self.cluster.name, self.values, self.engine)
        incomplete = missing_members(self.cluster)
        changes = []
        for target in read_targets(self.cluster):
            prepared = self.prepared.get(target.profile)
            is_member = target.profile == PROFILE_CONTROL_PLANE
            if prepared is None:
                self._add(target, FAILED, self.findings.of_profile(target.profile))
            elif incomplete and is_member and target.machine_id not in known:
                self._add(target, WAITING, incomplete)
            else:
                fingerprint = fingerprints.of(target.facts, prepared.version.fingerprint)
                if fingerprint == known.get(target.machine_id):
                    self._add(target, UNCHANGED)
                else:
                    changes.append(Change(target, fingerprint))
        return changes

    def _look_at(
        self, changes: Sequence[Change], prepared: Prepared, befores: Mapping[int, int]
    ) -> None:
        for start in range(0, len(changes), BATCH):
            batch = changes[start : start + BATCH]
            after = self._afters(batch, prepared)
            before = self.reader.read([befores[pk] for pk in after if pk in befores])
            for change in batch:
                pk = change.target.machine_id
                old = before.get(befores.get(pk, 0))
                self._judge(change.target, old, after.get(pk))
            self._advance(len(batch))
            if not after:
                # What breaks a whole batch breaks the role, as in a sync.
                for change in changes[start + len(batch) :]:
                    self._add(change.target, FAILED, "not tried: a whole batch before it failed")
                return

    def _judge(self, target: Target, before: Side | None, after: Side | None) -> None:
        if after is None:
            self._add(target, FAILED, self.findings.machines.get(target.machine_id, "no answer"))
        elif before is None:
            self._add(target, FIRST)
        else:
            self.builder.add_pair(_machine(target, CHANGED), before, after)

    def _afters(self, batch: Sequence[Change], prepared: Prepared) -> dict[int, Side]:
        """What each machine would get, known from before or rendered now."""
        known = known_configs(batch)
        sides = self.reader.read([config.pk for config in known.values()])
        after = {pk: sides[config.pk] for pk, config in known.items() if config.pk in sides}
        left = [change for change in batch if change.target.machine_id not in after]
        if left:
            good = render_batch(
                left,
                metadata_of=self._metadata_of,
                prepared=prepared,
                matchbox=self.matchbox,
                problems=self.findings,
            )
            self.rendered += len(good)
            boot = prepared.version.boot
            after |= {pk: Side(one.body, boot, one.metadata) for pk, one in good.items()}
        return after

    def _metadata_of(self, target: Target) -> dict[str, Any]:
        return Fingerprints(self.cluster.name, self.values, self.engine).metadata_of(target.facts)

    def _add(self, target: Target, outcome: str, reason: str = "") -> None:
        self.builder.add(_machine(target, outcome, reason))

    def _advance(self, count: int) -> None:
        self.done += count
        if self.progress:
            self.progress(self.done, self.total)


def _machine(target: Target, outcome: str, reason: str = "") -> PlannedMachine:
    name = target.facts.fqdn or target.mac
    return PlannedMachine(
        target.machine_id, name, target.mac, target.profile, outcome, reason=reason
    )
