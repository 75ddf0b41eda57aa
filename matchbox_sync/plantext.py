"""A plan as text for a terminal. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from matchbox_sync.diff import as_text
from matchbox_sync.planned import FAILED, FIRST, WAITING, Plan, PlannedGroup, summary_of

SHOWN_MACHINES = 8
_SENTENCES = {
    FIRST: "get their first config",
    FAILED: "cannot be made",
    WAITING: "would not get a config",
}


def plan_text(plan: Plan, *, with_diffs: bool = True) -> str:
    """All of a plan: counts, problems, then each identical change with its machines."""
    return "\n".join(_lines(plan, with_diffs))


def _lines(plan: Plan, with_diffs: bool) -> Iterator[str]:
    yield f"Plan: {plan.title}"
    yield "  " + ", ".join(f"{number} {outcome}" for outcome, number in plan.counts.items())
    yield from (f"  {note}" for note in plan.notes)
    for problem in plan.problems:
        yield f"  PROBLEM {problem.profile or 'all profiles'}, {problem.stage}: {problem.message}"
    names = {machine.id: machine.name for machine in plan.machines}
    for group in plan.groups:
        yield from _group_lines(group, names, with_diffs)
    for outcome, sentence in _SENTENCES.items():
        yield from _outcome_lines(plan, outcome, sentence)


def _group_lines(group: PlannedGroup, names: Mapping[int, str], with_diffs: bool) -> Iterator[str]:
    yield ""
    yield f"Change {group.number}, {_machines(len(group.machine_ids))}: {summary_of(group.diff)}"
    yield f"  {_some([names[pk] for pk in group.machine_ids])}"
    if with_diffs:
        yield f"  on {names[group.sample_id]}:"
        yield from (f"    {line}" for line in as_text(group.diff).split("\n"))


def _outcome_lines(plan: Plan, outcome: str, sentence: str) -> Iterator[str]:
    """Machines without a change to show, those with the same reason together."""
    by_reason: dict[str, list[str]] = {}
    for machine in plan.machines:
        if machine.outcome == outcome:
            by_reason.setdefault(machine.reason, []).append(machine.name)
    for reason, names in by_reason.items():
        yield ""
        yield f"{_machines(len(names))} {sentence}{f': {reason}' if reason else ''}"
        yield f"  {_some(names)}"


def _machines(number: int) -> str:
    return "1 machine" if number == 1 else f"{number} machines"


def _some(names: Sequence[str]) -> str:
    more = len(names) - SHOWN_MACHINES
    return ", ".join(names[:SHOWN_MACHINES]) + (f" and {more} more" if more > 0 else "")
