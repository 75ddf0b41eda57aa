"""Simulated fleets of the end-to-end tests: each one has a seed, so machines of its own."""

import asyncio
import itertools

from simulator.fleet import Fleet, simulate
from simulator.scenario import Scenario
from tests.e2e.engine import PATIENCE

_seeds = itertools.count(2)


def scenario(engine, **options):
    """A scenario of new machines, with short intervals."""
    defaults = {"machines": 3, "interval": 0.5, "deadline": PATIENCE, "seed": next(_seeds)}
    return Scenario(url=engine.url, **{**defaults, **options})


def run(engine, **options):
    """Run new machines to their end; the result."""
    return asyncio.run(simulate(scenario(engine, **options)))


def tell(engine, story, **options):
    """Run `story(fleet)` with new machines that live meanwhile; the result."""

    async def show():
        async with Fleet(scenario(engine, **options)) as fleet:
            await story(fleet)
            return fleet.result()

    return asyncio.run(show())


def assert_good(result):
    """All at their end, no rule broken; else say what there is."""
    assert result.is_good, result.as_json()


def grant(engine, machine, strategy):
    """What an operator does to let one machine update."""
    path = f"/lifecycle/rolling/{machine.who.raw_query}"
    status, body = engine.ask("POST", path, {"strategy": strategy}, is_operator=True)
    assert status == 200, body


async def change_time_server(engine, fleet):
    """Change a value, and wait until every machine of the fleet was told that it is outdated."""
    engine.manage("values", "set", f"ntp=ntp{next(_seeds)}.example.test")

    def is_known():
        return all(one.is_up_to_date is False for one in fleet.machines)

    assert await fleet.wait_until(is_known, PATIENCE), fleet.result().as_json()
