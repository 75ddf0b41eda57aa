"""A plan: what a change would do to which machines, grouped by identical change. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from matchbox_sync.diff import (
    Diff,
    Keyed,
    Side,
    as_json,
    compare,
    group_changes,
    key_of,
    own_values,
)

CHANGED, FIRST, UNCHANGED, FAILED, WAITING = "changed", "first", "unchanged", "failed", "waiting"
OUTCOMES = (CHANGED, FIRST, UNCHANGED, FAILED, WAITING)
"""first: it has no config yet and gets its first one; waiting: it would not get one yet."""

Progress = Callable[[int, int], None]
"""Called with (machines done, machines to look at closely)."""


@dataclass(frozen=True, slots=True)
class PlannedMachine:
    """One machine: `group` is the number of its change, `reason` why it failed or waits.

    `is_document_changed` says that the machine itself would notice (its report is outdated);
    otherwise only its boot part or its metadata differs.
    """

    id: int
    name: str
    mac: str
    profile: str
    outcome: str
    group: int | None = None
    reason: str = ""
    is_document_changed: bool = False


@dataclass(frozen=True, slots=True)
class PlannedGroup:
    """Machines with the identical change; `diff` is that of machine `sample_id`."""

    number: int
    machine_ids: tuple[int, ...]
    sample_id: int
    diff: Diff


@dataclass(frozen=True, slots=True)
class PlanProblem:
    """What is wrong with a whole profile."""

    profile: str
    stage: str
    message: str


@dataclass(frozen=True, slots=True)
class Plan:
    """`title` says of what; `rendered` counts the configs that had to be made for it; `notes` are
    sentences on what concerns no single machine."""

    title: str
    machines: tuple[PlannedMachine, ...]
    groups: tuple[PlannedGroup, ...]
    problems: tuple[PlanProblem, ...] = ()
    notes: tuple[str, ...] = ()
    values: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    rendered: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """Machines by outcome."""
        counts = dict.fromkeys(OUTCOMES, 0)
        for machine in self.machines:
            counts[machine.outcome] += 1
        return counts

    @property
    def is_good(self) -> bool:
        """True when nothing would be held back because it cannot be made."""
        return not self.problems and not self.counts[FAILED]

    def to_json(self) -> dict[str, Any]:
        """As the API answers it. Machines that do not change are only counted."""
        return {
            "title": self.title,
            "counts": self.counts,
            "values": {
                key: {"before": before, "after": after}
                for key, (before, after) in self.values.items()
            },
            "rendered": self.rendered,
            "notes": list(self.notes),
            "problems": [
                {"profile": p.profile, "stage": p.stage, "message": p.message}
                for p in self.problems
            ],
            "groups": [
                {
                    "number": group.number,
                    "machine_ids": list(group.machine_ids),
                    "sample_id": group.sample_id,
                    "summary": summary_of(group.diff),
                    "changes": as_json(group.diff),
                }
                for group in self.groups
            ],
            "machines": [
                {
                    "id": m.id,
                    "name": m.name,
                    "mac": m.mac,
                    "profile": m.profile,
                    "outcome": m.outcome,
                    "group": m.group,
                    "reason": m.reason,
                    "is_document_changed": m.is_document_changed,
                }
                for m in self.machines
                if m.outcome != UNCHANGED
            ],
        }


def summary_of(diff: Diff) -> str:
    """In a few words."""
    return diff.summary or "the same in other bytes"


@dataclass(slots=True)
class Builder:
    """Collects machine by machine; keeps one diff of each kind, so memory does not grow with
    the fleet."""

    _machines: dict[int, PlannedMachine] = field(default_factory=dict)
    _keys: dict[int, Keyed] = field(default_factory=dict)
    _samples: dict[str, tuple[int, Diff]] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)

    def add(self, machine: PlannedMachine) -> None:
        """A machine without a diff."""
        self._machines[machine.id] = machine

    def add_pair(self, machine: PlannedMachine, before: Side, after: Side) -> None:
        """A machine with its config before and after; one without a difference is unchanged."""
        is_document_changed = before.document != after.document
        diff = compare(before, after)
        if diff.is_empty and not is_document_changed:
            self.add(replace(machine, outcome=UNCHANGED))
            return
        self.add(replace(machine, outcome=CHANGED, is_document_changed=is_document_changed))
        keyed = key_of(diff, own_values(before.metadata, after.metadata))
        self._keys[machine.id] = keyed
        self._keep_sample(machine.id, keyed, diff)

    def _keep_sample(self, machine_id: int, keyed: Keyed, diff: Diff) -> None:
        """One of each change: of all that share `own`, until an exact one is seen twice."""
        is_needed = keyed.own not in self._samples or keyed.exact in self._seen
        self._seen.add(keyed.exact)
        if keyed.exact not in self._samples and is_needed:
            self._samples[keyed.exact] = (machine_id, diff)
            self._samples.setdefault(keyed.own, (machine_id, diff))

    def build(
        self,
        title: str,
        *,
        problems: Sequence[PlanProblem] = (),
        notes: Sequence[str] = (),
        values: Mapping[str, tuple[Any, Any]] | None = None,
        rendered: int = 0,
    ) -> Plan:
        """The plan of everything that was added."""
        groups = []
        for number, (key, members) in enumerate(group_changes(self._keys).items(), 1):
            sample_id, diff = self._samples[key]
            groups.append(PlannedGroup(number, tuple(members), sample_id, diff))
            for machine_id in members:
                self._machines[machine_id] = replace(self._machines[machine_id], group=number)
        return Plan(
            title=title,
            machines=tuple(sorted(self._machines.values(), key=lambda m: (m.name, m.id))),
            groups=tuple(groups),
            problems=tuple(problems),
            notes=tuple(notes),
            values=values or {},
            rendered=rendered,
        )
