"""Config reports: the path that 10,000 machines take each minute, against a bare Django view."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import psutil

from bench.context import Context
from bench.databases import NewDatabase, database_server
from bench.documents import BODIES, make_document
from bench.fleets import reporting_fleet
from bench.load import Load, Request, post, send
from bench.places import Place
from bench.processes import cpu_seconds, family_of, run_job, serve
from bench.progress import say
from bench.results import Fact, Figure, Spread, StageResult, at_least, at_most, divide

FULL, DIGEST, BARE_FULL, BARE_EMPTY = "full", "digest", "yardstick, full", "yardstick, empty"
KINDS = (BARE_FULL, FULL, BARE_EMPTY, DIGEST)
"""In the order of each round: every report right after its yardstick."""

MAX_REQUESTS_A_ROUND = 50_000


@dataclass(slots=True)
class Target:
    """One running server with its fleet, the prepared requests and what was measured so far."""

    machines: int
    place: Place
    web: psutil.Process
    requests: dict[str, Iterator[Request]]
    rates: dict[str, list[float]] = field(default_factory=dict)
    cpu: dict[str, list[float]] = field(default_factory=dict)
    generator: dict[str, list[float]] = field(default_factory=dict)
    latencies: dict[str, list[float]] = field(default_factory=dict)
    wrong: int = 0
    answers: int = 0


def run(context: Context) -> StageResult:
    """Measure on each database: two fleets of different size, served at the same time."""
    result = StageResult("reports")
    for database in context.databases:
        with database_server(database) as new_database, ExitStack() as stack:
            targets = [
                _start(context, stack, machines, new_database)
                for machines in (context.sizes.small_fleet, context.sizes.large_fleet)
            ]
            _measure(context, targets, database)
            _conclude(result, targets, database)
            _count_queries(result, targets[-1].place, database)
    return result


def _start(context: Context, stack: ExitStack, machines: int, new_database: NewDatabase) -> Target:
    url = new_database(f"reports_{machines}")
    place, fleet = reporting_fleet(context.workshop, machines, url)
    web = stack.enter_context(serve(place, "web"))
    return Target(machines, place, web, prepare_requests(fleet))


def prepare_requests(fleet: dict[str, Any]) -> dict[str, Iterator[Request]]:
    """Endless requests of each kind: every machine once, in random order, then again."""
    bodies = [make_document(number) for number in range(BODIES)]
    digests = [json.dumps({"sha512": digest}).encode() for digest in fleet["digests"]]
    machines = list(fleet["machines"])
    random.Random(7).shuffle(machines)
    return {
        BARE_FULL: cycle([_bare(mac, bodies[body]) for mac, _, body in machines]),
        FULL: cycle([_report(mac, uuid, bodies[body]) for mac, uuid, body in machines]),
        BARE_EMPTY: cycle([_bare(mac, b"") for mac, _, _ in machines]),
        DIGEST: cycle([_report(mac, uuid, digests[body]) for mac, uuid, body in machines]),
    }


def _bare(mac: str, body: bytes) -> Request:
    return post(f"/yardstick/{mac}", body)


def _report(mac: str, uuid: str, body: bytes) -> Request:
    query = f"uuid={uuid}&mac={mac.replace(':', '-')}&os=installed"
    return post(f"/lifecycle/ignition/{query}", body)


def _is_right(_key: int, status: int, body: bytes) -> bool:
    return status == 200 and b"Up-to-date" in body


def _measure(context: Context, targets: Sequence[Target], database: str) -> None:
    """One round that is not counted (caches, connections), then the counted ones."""
    for number in range(context.sizes.report_rounds + 1):
        for kind in KINDS:
            for target in targets:
                load, used = _one(context, target, kind)
                if number:
                    _note(target, kind, load, used)
        say(f"reports on {database}: round {number} of {context.sizes.report_rounds}")


def _one(context: Context, target: Target, kind: str) -> tuple[Load, float]:
    family = family_of(target.web)
    before = cpu_seconds(family)
    requests = (next(target.requests[kind]) for _ in range(MAX_REQUESTS_A_ROUND))
    load = send(
        target.place.port,
        requests,
        connections=context.sizes.connections,
        check=_is_right,
        seconds=context.sizes.report_seconds,
    )
    target.wrong += load.refused
    target.answers += load.count
    return load, cpu_seconds(family) - before


def _note(target: Target, kind: str, load: Load, used: float) -> None:
    target.rates.setdefault(kind, []).append(load.rate)
    target.cpu.setdefault(kind, []).append(1000 * used / max(1, load.count))
    target.generator.setdefault(kind, []).append(1000 * load.cpu_seconds / max(1, load.count))
    target.latencies.setdefault(kind, []).append(1000 * load.latency(0.99))


def _conclude(result: StageResult, targets: Sequence[Target], database: str) -> None:
    small, large = targets
    for target in targets:
        for kind, yardstick, limit in ((FULL, BARE_FULL, 0.6), (DIGEST, BARE_EMPTY, 0.8)):
            result.figures.append(
                Figure(
                    f"{kind} report, {database}, {target.machines:,} machines",
                    "bare view, same body" if kind == FULL else "bare view, no body",
                    divide(target.rates[kind], target.rates[yardstick]),
                    at_least(limit),
                    _raw(target, kind, yardstick),
                )
            )
    for kind, yardstick in ((FULL, BARE_FULL), (DIGEST, BARE_EMPTY)):
        bare = divide(small.rates[yardstick], large.rates[yardstick])
        cpu = divide(large.cpu[kind], small.cpu[kind])
        result.figures.append(
            Figure(
                f"{kind} report, {database}: {small.machines:,} over {large.machines:,} machines",
                "the same report, larger fleet",
                divide(small.rates[kind], large.rates[kind]),
                at_most(1.2),
                {"bare view x": bare.median, "CPU x": cpu.median},
            )
        )
    wrong, answers = sum(t.wrong for t in targets), sum(t.answers for t in targets)
    result.facts.append(
        Fact(
            f"every answer on {database} is 200, up to date",
            wrong == 0 and answers > 0,
            f"{wrong} of {answers:,} wrong",
        )
    )


def _raw(target: Target, kind: str, yardstick: str) -> dict[str, float]:
    def middle(samples: dict[str, list[float]], name: str) -> float:
        return Spread.of(samples[name]).median

    cpu = divide(target.cpu[yardstick], target.cpu[kind])
    return {
        "CPU x": cpu.median,
        "reports/s": middle(target.rates, kind),
        "yardstick/s": middle(target.rates, yardstick),
        "server ms CPU": middle(target.cpu, kind),
        "yardstick ms CPU": middle(target.cpu, yardstick),
        "generator ms CPU": middle(target.generator, kind),
        "p99 ms": middle(target.latencies, kind),
    }


def _count_queries(result: StageResult, place: Place, database: str) -> None:
    counts = run_job(place, "reporting.count_queries")
    result.raw[f"statements, {database}"] = counts
    for kind in (FULL, DIGEST):
        seen = counts[kind]
        result.facts.append(
            Fact(
                f"a {kind} report on {database} is one look-up and one small write",
                seen["status"] == 200 and seen["queries"] == 2 and seen["writes"] == 1,
                f"{seen['queries']} statements, {seen['writes']} of them write",
            )
        )
