"""Syncs: the first one is linear, one more machine costs next to nothing, nothing costs nothing."""

from __future__ import annotations

from typing import Any

from bench.context import Context
from bench.fleets import discovered_fleet, synced_fleet
from bench.processes import run_job, serve
from bench.progress import say
from bench.results import Fact, Figure, Spread, StageResult, at_most, divide


def run(context: Context) -> StageResult:
    """First syncs of two sizes in turns; then a large fleet with nothing and one machine new."""
    result = StageResult("sync")
    a_machine = _first_syncs(context, result)
    place, first = synced_fleet(context.workshop, context.sizes.large_fleet)
    result.raw["first sync"] = first
    # With a matchbox that holds the whole fleet: what a sync writes it compares with its answer.
    with serve(place, "matchbox"):
        small = run_job(
            place,
            "syncs.small_syncs",
            rounds=context.sizes.rounds,
            first_number=context.sizes.large_fleet,
        )
    result.raw["small syncs"] = small
    whole = min(first["seconds"], a_machine * context.sizes.large_fleet)
    _conclude_added(context, result, first, small["added"], whole)
    _conclude_idle(result, small["idle"], whole)
    return result


def _first_syncs(context: Context, result: StageResult) -> float:
    """Returns the seconds a machine of the larger fleet."""
    sizes = (context.sizes.first_sync_small, context.sizes.first_sync_large)
    runs: dict[int, list[dict[str, Any]]] = {machines: [] for machines in sizes}
    for number in range(context.sizes.first_sync_rounds):
        for machines in sizes:
            say(f"first sync of {machines:,} machines, round {number + 1}")
            place = discovered_fleet(context.workshop, machines)
            runs[machines].append(run_job(place, "syncs.first_sync"))
    (small, few), (large, many) = runs.items()
    result.raw["first syncs"] = {str(machines): rounds for machines, rounds in runs.items()}

    def a_machine(rounds: list[dict[str, Any]], what: str, machines: int) -> list[float]:
        return [one[what] / machines for one in rounds]

    result.figures.append(
        Figure(
            f"first sync, cost a machine: {large:,} over {small:,} machines",
            "first sync of the smaller fleet",
            divide(a_machine(many, "seconds", large), a_machine(few, "seconds", small)),
            at_most(1.3),
            {
                "ms a machine": 1000 * Spread.of(a_machine(many, "seconds", large)).median,
                "ms CPU": 1000 * Spread.of(a_machine(many, "cpu_seconds", large)).median,
                "CPU x": divide(
                    a_machine(many, "cpu_seconds", large), a_machine(few, "cpu_seconds", small)
                ).median,
                "stored bytes": many[0]["stored_bytes"] / large,
                "of a document": many[0]["document_bytes"] / large,
            },
        )
    )
    result.facts.append(
        Fact(
            "every machine of a first sync gets its config",
            all(one["rendered"] == one["machines"] for one in few + many)
            and few[0]["machines"] == small
            and many[0]["machines"] == large,
            f"{sum(one['problems'] for one in few + many)} problems",
        )
    )
    return Spread.of(a_machine(many, "seconds", large)).median


def _conclude_added(
    context: Context,
    result: StageResult,
    first: dict[str, Any],
    added: list[dict[str, Any]],
    whole: float,
) -> None:
    """`whole`: seconds of the fleet's first sync. It may be of an earlier run, when the machine was
    busier than now; then the cost a machine of this run counts, for the whole fleet."""
    result.figures.append(
        Figure(
            f"one machine added to {context.sizes.large_fleet:,}",
            "first sync of the whole fleet",
            divide([one["seconds"] for one in added], [whole] * len(added)),
            at_most(0.01),
            {
                "s": Spread.of([one["seconds"] for one in added]).median,
                "first sync s": whole,
                "as it was timed": first["seconds"],
                "statements": added[0]["queries"],
            },
        )
    )
    result.facts += [
        Fact(
            "an added machine gets its config and changes no other machine's",
            all(one["has_config"] and one["others_changed"] == 0 for one in added)
            and all(one["rendered"] == 1 for one in added),
            f"{added[0]['files_changed']} files written",
        ),
        Fact(
            "the cost of the first sync is known whole",
            first["cost_is_whole"] or context.sizes.is_quick,
            "" if first["cost_is_whole"] else "it was interrupted; run with --fresh",
        ),
    ]


def _conclude_idle(result: StageResult, idle: list[dict[str, Any]], whole: float) -> None:
    result.figures.append(
        Figure(
            "a sync with nothing to do",
            "first sync of the whole fleet",
            divide([one["seconds"] for one in idle], [whole] * len(idle)),
            raw={
                "s": Spread.of([one["seconds"] for one in idle]).median,
                "CPU s": Spread.of([one["cpu_seconds"] for one in idle]).median,
                "statements": idle[0]["queries"],
                "of them write": idle[0]["writes"],
            },
        )
    )
    result.facts += [
        Fact(
            "a sync with nothing to do writes no file and makes no revision",
            all(
                one["files_changed"] == one["written"] == one["revisions_made"] == 0 for one in idle
            ),
        ),
        Fact("… starts no matchbox", all(one["children_started"] == 0 for one in idle)),
        Fact("… renews the gate", all(one["is_gate_renewed"] for one in idle)),
    ]
