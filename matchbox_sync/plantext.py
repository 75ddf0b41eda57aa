"""A plan as text for a terminal. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from enjoliver.common.words import counted
from matchbox_sync.advice import Advice
from matchbox_sync.diff import as_text
from matchbox_sync.planned import FAILED, FIRST, WAITING, Plan, PlannedGroup, summary_of

SHOWN_MACHINES = 8
_SENTENCES = {
    FIRST: "get their first config",
    FAILED: "cannot be made",
    WAITING: "would not get a config",
}


def plan_text(
    plan: Plan, *, with_diffs: bool = True, advice: Mapping[int, Advice] | None = None
) -> str:
    """All of a plan: counts, problems, then each identical change with its machines."""
    return "\n".join(_lines(plan, with_diffs, advice or {}))


def _lines(plan: Plan, with_diffs: bool, advice: Mapping[int, Advice]) -> Iterator[str]:
    yield f"Plan: {plan.title}"
    yield "  " + ", ".join(f"{number} {outcome}" for outcome, number in plan.counts.items())
    yield from (f"  {note}" for note in plan.notes)
    for problem in plan.problems:
        yield f"  PROBLEM {problem.profile or 'all profiles'}, {problem.stage}: {problem.message}"
    names = {machine.id: machine.name for machine in plan.machines}
    for group in plan.groups:
        yield from _group_lines(group, names)
        yield from _advice_lines(group, advice)
        if with_diffs:
            yield f"  on {names[group.sample_id]}:"
            yield from (f"    {line}" for line in as_text(group.diff).split("\n"))
    for outcome, sentence in _SENTENCES.items():
        yield from _outcome_lines(plan, outcome, sentence)


def _group_lines(group: PlannedGroup, names: Mapping[int, str]) -> Iterator[str]:
    yield ""
    yield f"Change {group.number}, {_machines(len(group.machine_ids))}: {summary_of(group.diff)}"
    yield f"  {_some([names[pk] for pk in group.machine_ids])}"


def _advice_lines(group: PlannedGroup, advice: Mapping[int, Advice]) -> Iterator[str]:
    """What would be done to how many, and why not."""
    said = [advice[pk] for pk in group.machine_ids if pk in advice]
    for sentences in ([one.action for one in said], [one.blocked for one in said]):
        for sentence, number in Counter(filter(None, sentences)).most_common():
            yield f"  {_machines(number)}: {sentence}"


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
    return counted(number, "machine")


def _some(names: Sequence[str]) -> str:
    more = len(names) - SHOWN_MACHINES
    return ", ".join(names[:SHOWN_MACHINES]) + (f" and {more} more" if more > 0 else "")
