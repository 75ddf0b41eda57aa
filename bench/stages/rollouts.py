"""Rollouts: a step over 10,000 machines, and what machines ask while one is under way."""

from __future__ import annotations

import json
import statistics
from contextlib import ExitStack
from itertools import cycle
from typing import Any

from bench.context import Context
from bench.databases import NewDatabase, database_server
from bench.fleets import reporting_fleet
from bench.load import Load, Request, get, post, send
from bench.places import Place
from bench.processes import run_job, serve
from bench.progress import say
from bench.results import Fact, Figure, Spread, StageResult, at_least, at_most, divide

WAITING, OPEN, SLOT, BARE = "leave refused", "leave granted", "slot held", "yardstick"
EXPECTED = {WAITING: 403, OPEN: 200, SLOT: 200, BARE: 200}
PROMISED = {WAITING: 0.15, OPEN: 0.02, SLOT: 0.1}
NOT_SQUARE = 3.0
_MAX_REQUESTS_A_ROUND = 50_000


def run(context: Context) -> StageResult:
    """On each database: the steps of two fleets of different size, then requests to the larger."""
    result = StageResult("rollouts")
    sizes = (context.sizes.small_fleet, context.sizes.large_fleet)
    for database in context.databases:
        with database_server(database) as new_database:
            rolled = [_roll(context, machines, new_database) for machines in sizes]
            say(f"rollouts on {database}: steps over {sizes[0]:,} and {sizes[1]:,} machines")
            _judge_steps(result, [rollout for _, rollout in rolled], sizes, database)
            _judge_questions(result, [rollout for _, rollout in rolled], sizes, database)
            _measure(context, result, *rolled[-1], database)
    return result


def _roll(
    context: Context, machines: int, new_database: NewDatabase
) -> tuple[Place, dict[str, Any]]:
    place, _ = reporting_fleet(context.workshop, machines, new_database(f"rollouts_{machines}"))
    return place, run_job(place, "rollouts.roll")


def _judge_steps(
    result: StageResult, rollouts: list[dict[str, Any]], sizes: tuple[int, int], database: str
) -> None:
    small, large = (one["steps"] for one in rollouts)
    result.raw[f"steps, {database}"] = {
        str(size): one["steps"] for size, one in zip(sizes, rollouts, strict=True)
    }
    for name in ("idle", "half done"):
        few, many = small[name]["queries"], large[name]["queries"]
        detail = f"{few} statements for {sizes[0]:,} machines, {many} for {sizes[1]:,}"
        name = f"a step costs as many statements for many as for few ({name}, {database})"
        result.facts.append(Fact(name, few == many, detail))
    growth = [
        (large[name]["seconds"] / sizes[1]) / (small[name]["seconds"] / sizes[0])
        for name in ("idle", "idle again", "half done")
    ]
    result.figures.append(
        Figure(
            f"a step, a machine, {database}: {sizes[1]:,} over {sizes[0]:,} machines",
            "a step over the smaller fleet",
            Spread.of(growth),
            at_most(NOT_SQUARE),
            {f"{name} s": large[name]["seconds"] for name in ("made", "idle", "half done")},
        )
    )


def _judge_questions(
    result: StageResult, rollouts: list[dict[str, Any]], sizes: tuple[int, int], database: str
) -> None:
    """As many machines more ask as the fleet is larger, so each may cost but little more."""
    small, large = (one["asked"] for one in rollouts)
    for name, what in (("leave", "a leave that is granted"), ("slot", "a slot that is taken")):
        few, many = small[name], large[name]
        detail = (
            f"{few['queries']:g} for {sizes[0]:,} machines, {many['queries']:g} for {sizes[1]:,}"
        )
        fact = f"{what} costs as many statements ({database})"
        result.facts.append(Fact(fact, few["queries"] == many["queries"], detail))
        usual = statistics.median(few["seconds"])
        growth = Spread.of([seconds / usual for seconds in many["seconds"]])
        result.figures.append(
            Figure(
                f"{what}, {database}: {sizes[1]:,} over {sizes[0]:,} machines",
                "the same in the smaller fleet",
                growth,
                at_most(NOT_SQUARE),
                {
                    f"{size} ms": 1000 * min(one["seconds"])
                    for size, one in zip(sizes, (few, many), strict=True)
                },
            )
        )


def _measure(
    context: Context, result: StageResult, place: Place, rollout: dict[str, Any], database: str
) -> None:
    requests = {kind: cycle(made) for kind, made in _prepare(rollout).items()}
    rates: dict[str, list[float]] = {kind: [] for kind in requests}
    wrong: dict[str, int] = dict.fromkeys(requests, 0)
    with ExitStack() as stack:
        stack.enter_context(serve(place, "web"))
        for number in range(context.sizes.report_rounds + 1):
            for kind, made in requests.items():
                load = _one(context, place, kind, made)
                wrong[kind] += load.refused
                if number:
                    rates[kind].append(load.rate)
            say(f"rollouts on {database}: round {number} of {context.sizes.report_rounds}")
    for kind, limit in PROMISED.items():
        name = f"{kind}, {database}, {context.sizes.large_fleet:,} machines"
        raw = {"requests/s": Spread.of(rates[kind]).median}
        ratio = divide(rates[kind], rates[BARE])
        result.figures.append(Figure(name, "bare view", ratio, at_least(limit), raw))
    result.facts.append(
        Fact(f"every answer on {database} is the expected one", not any(wrong.values()), str(wrong))
    )


def _one(context: Context, place: Place, kind: str, made: Any) -> Load:
    return send(
        place.port,
        (next(made) for _ in range(_MAX_REQUESTS_A_ROUND)),
        connections=context.sizes.connections,
        check=lambda _key, status, _body: status == EXPECTED[kind],
        seconds=context.sizes.report_seconds,
    )


def _prepare(rollout: dict[str, Any]) -> dict[str, list[Request]]:
    waiting = rollout["waiting"]
    return {
        BARE: [post(f"/yardstick/{mac}", b"") for mac, _ in waiting],
        WAITING: [get(_leave(mac, uuid)) for mac, uuid in waiting],
        OPEN: [get(_leave(one["mac"], one["uuid"])) for one in rollout["let go"]],
        SLOT: [_lock(one["id"], one["group"]) for one in rollout["held"]],
    }


def _leave(mac: str, uuid: str) -> str:
    return f"/lifecycle/rolling/uuid={uuid}&mac={mac.replace(':', '-')}&os=installed"


def _lock(holder: str, group: str) -> Request:
    body = json.dumps({"client_params": {"id": holder, "group": group}}).encode()
    plain = post("/v1/pre-reboot", body)
    head = plain.head.replace(b"\r\n\r\n", b"\r\nfleet-lock-protocol: true\r\n\r\n")
    return Request(plain.key, head, body)
