"""The scheduler: a whole fleet in one pass, with the same number of statements for each batch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from bench.context import Context
from bench.databases import NewDatabase, database_server
from bench.fleets import discovered_fleet
from bench.places import Place
from bench.processes import run_job
from bench.progress import say
from bench.results import Fact, Figure, Spread, StageResult, at_most

MAX_ROUNDS = 3
NOT_SQUARE = 3.0
"""A pass that grew with the square of the fleet would cost 10 times as much per machine. Not less:
PostgreSQL checks foreign keys at each commit by a plan from when the tables were empty, until it
gathers statistics a minute later; that alone is 1.7 on it."""


def run(context: Context) -> StageResult:
    """Place a small and a large fleet in turns, each round in a fresh copy."""
    result = StageResult("scheduling")
    sizes = (context.sizes.small_fleet, context.sizes.large_fleet)
    for database in context.databases:
        passes: dict[int, list[dict[str, Any]]] = {machines: [] for machines in sizes}
        with database_server(database) as new_database:
            copies = {machines: _copies(context, machines, new_database) for machines in sizes}
            for number in range(min(MAX_ROUNDS, context.sizes.rounds)):
                for machines in sizes:
                    passes[machines].append(run_job(next(copies[machines]), "schedules.place_all"))
                say(f"scheduling on {database}: round {number + 1}")
        _conclude(result, passes, database)
    return result


def _copies(context: Context, machines: int, new_database: NewDatabase) -> Iterator[Place]:
    """Endless fresh copies of a discovered fleet."""
    template = new_database(f"discovered_{machines}")
    if template:
        discovered_fleet(context.workshop, machines, template)
    number = 0
    while True:
        number += 1
        url = new_database(f"round_{machines}_{number}", template=template)
        if url:
            yield context.workshop.new("placing", database_url=url)
        else:
            yield discovered_fleet(context.workshop, machines)


def _conclude(result: StageResult, passes: dict[int, list[dict[str, Any]]], database: str) -> None:
    (small, few), (large, many) = passes.items()
    per_machine = [
        (b["seconds"] / large) / (a["seconds"] / small) for a, b in zip(few, many, strict=True)
    ]
    result.raw[database] = {str(machines): rounds for machines, rounds in passes.items()}
    result.figures.append(
        Figure(
            f"cost a machine, {database}: {large:,} over {small:,} machines",
            "one pass over the smaller fleet",
            Spread.of(per_machine),
            at_most(NOT_SQUARE),
            {
                "pass s": Spread.of([one["seconds"] for one in many]).median,
                "smaller pass s": Spread.of([one["seconds"] for one in few]).median,
                "idle pass s": Spread.of([one["idle_seconds"] for one in many]).median,
            },
        )
    )
    result.facts += [
        Fact(
            f"{large:,} machines are placed in one pass, {database}",
            all(one["placed"] == one["assignments"] == large for one in many),
            f"{many[0]['control_plane']} control plane, {many[0]['waiting']} waiting",
        ),
        _constant_statements(few[0], many[0], small, large, database),
        Fact(
            f"a second pass changes nothing, {database}",
            all(one["placed_again"] == one["idle_writes"] == 0 for one in few + many),
            f"{many[0]['idle_queries']} statements",
        ),
    ]


def _constant_statements(
    few: dict[str, Any], many: dict[str, Any], small: int, large: int, database: str
) -> Fact:
    """What a pass asks once is spread over more batches, so the share of a batch must not grow."""
    a = few["queries"] / math.ceil(small / few["batch"])
    b = many["queries"] / math.ceil(large / many["batch"])
    detail = (
        f"{few['queries']} statements for {small:,} machines, {many['queries']} for {large:,}: "
        f"{a:.1f} and {b:.1f} for each {many['batch']} machines"
    )
    return Fact(f"statements per batch stay constant, {database}", b <= a, detail)
