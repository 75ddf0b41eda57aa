"""A watched run and its signals."""

import asyncio
import io
import os
import signal

import pytest
from rich.console import Console

from simulator.display import Display
from simulator.run import run_watched
from simulator.scenario import Scenario, Until
from simulator.tests.fake_engine import FakeEngine


def watch(engine, at_start=lambda: None, **options):
    async def story():
        async with engine.serve():
            scenario = Scenario(url=engine.url, machines=3, interval=0.05, **options)
            display = Display(Console(file=io.StringIO()), machines=3, title="")
            at_start()
            return await run_watched(scenario, display)

    return asyncio.run(story())


def test_a_watched_run_ends_by_itself():
    assert watch(FakeEngine(), deadline=120).is_good


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_an_endless_run_in_order_and_leaves_the_handlers_as_they_were(number):
    before = signal.getsignal(number)

    def soon():
        asyncio.get_running_loop().call_later(0.5, os.kill, os.getpid(), number)

    result = watch(FakeEngine(), soon, until=Until.FOREVER, deadline=600)
    assert result.seconds < 300
    assert signal.getsignal(number) is before
