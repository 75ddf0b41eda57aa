"""One watched run: machines, display, and an orderly end on Ctrl-C or SIGTERM."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from simulator.display import Display
from simulator.fleet import Fleet
from simulator.result import Result
from simulator.scenario import Scenario


async def run_watched(scenario: Scenario, display: Display) -> Result:
    """Run to the scenario's end, its deadline or a stop signal; then sum up what there is."""
    async with Fleet(scenario, display.machine_says) as fleet:
        with stop_event() as stop:
            async with display.watching(lambda: dict(fleet.phases())):
                await fleet.wait_until(
                    lambda: stop.is_set() or fleet.is_over(scenario.until), scenario.deadline
                )
        return fleet.result()


@contextmanager
def stop_event() -> Iterator[asyncio.Event]:
    """An event that Ctrl-C and SIGTERM set for the time of the block."""
    event, loop = asyncio.Event(), asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        loop.add_signal_handler(number, event.set)
    try:
        yield event
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)  # removing alone would leave the default one
