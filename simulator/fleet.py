"""A fleet of simulated machines: switch it on, watch it, wait for its end, sum it up."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Self

from simulator import discovery, firmware, installed, update
from simulator.audit import Audit
from simulator.client import Client, Refused, Unreachable, Wire
from simulator.disks import Disks
from simulator.ends import missing
from simulator.facts import Identity, make_fleet, share_uuid
from simulator.faults import Fault, spread_faults
from simulator.ignition import BadConfig
from simulator.machine import Machine, Phase, World
from simulator.metrics import Costs
from simulator.progress import tell
from simulator.result import End, Result
from simulator.scenario import Arrival, Scenario, Until

Step = Callable[[Machine], Awaitable[Phase]]
Say = Callable[[str, str], None]

STEPS: Mapping[Phase, Step] = {
    Phase.OFF: firmware.power_on,
    Phase.FIRMWARE: firmware.network_boot,
    Phase.NO_DISK: firmware.no_disk,
    Phase.DISCOVERY: discovery.report_facts,
    Phase.WAITING: discovery.wait_for_role,
    Phase.GATE: discovery.ask_gate,
    Phase.INSTALLING: discovery.install,
    Phase.FAILED: discovery.report_failure,
    Phase.INSTALLED: discovery.report_success,
    Phase.STARTING: installed.start,
    Phase.RUNNING: installed.report,
    Phase.OUTDATED: update.ask_strategy,
    Phase.SLOT: update.wait_for_slot,
    Phase.DOWN: update.update,
    Phase.SILENT: installed.vanish,
}
"""The life of a machine. Each step does one thing and says the next phase; a step that meets an
engine that is away, or an answer it cannot use, is tried again after a pause."""


async def live(machine: Machine) -> None:
    """Go from phase to phase until cancelled."""
    while True:
        try:
            machine.phase = await STEPS[machine.phase](machine)
        except (Unreachable, Refused, BadConfig) as error:
            machine.say(f"{machine.phase}: {error}; tries again")
            await machine.back_off()
        else:
            machine.retries = 0
        tell(machine)


def _silence(name: str, words: str) -> None:
    """Nobody watches."""


class Fleet:
    """All machines of one scenario; an async context manager that switches everything off."""

    def __init__(self, scenario: Scenario, say: Say = _silence) -> None:
        self.scenario = scenario
        self._tasks: list[asyncio.Task[None]] = []
        self._started = time.monotonic()
        costs = Costs()
        client = Client(
            costs=costs,
            connections=scenario.connections,
            timeout_seconds=scenario.timing.request,
        )
        self.world = World(
            url=scenario.url.rstrip("/"),
            timing=scenario.timing,
            client=client,
            costs=costs,
            audit=Audit(),
            disks=Disks(scenario.disks),
            say=say,
        )
        self.machines = self._make_machines()

    def _make_machines(self) -> list[Machine]:
        scenario = self.scenario
        dice = random.Random(scenario.seed)
        faults = spread_faults(scenario.faults, scenario.machines, dice)
        twins = [at for at, has in enumerate(faults) if Fault.DUPLICATE_UUID in has]
        identities = share_uuid(make_fleet(scenario.machines, scenario.seed), twins)
        return [self._make_machine(who, of) for who, of in zip(identities, faults, strict=True)]

    def _make_machine(self, who: Identity, faults: frozenset[Fault]) -> Machine:
        dice = random.Random(f"{self.scenario.seed}/{who.index}")
        slow = self.scenario.interval if Fault.SLOW in faults else 0.0
        wire = Wire(dice=dice, slow_seconds=slow, is_flaky=Fault.FLAKY_NETWORK in faults)
        return Machine(who=who, world=self.world, faults=faults, dice=dice, wire=wire)

    async def __aenter__(self) -> Self:
        await self.world.client.__aenter__()
        self._started = time.monotonic()
        self._tasks = [asyncio.create_task(self._switch_on(one)) for one in self.machines]
        return self

    async def __aexit__(self, *details: object) -> None:
        tellers = [one.teller for one in self.machines if one.teller is not None]
        for task in (*self._tasks, *tellers):
            task.cancel()
        await asyncio.gather(*self._tasks, *tellers, return_exceptions=True)
        await self.world.client.__aexit__()
        self.world.disks.close()

    async def _switch_on(self, machine: Machine) -> None:
        if self.scenario.arrival is Arrival.ONE_BY_ONE:
            await asyncio.sleep(machine.who.index * self.scenario.timing.poll)
        await live(machine)

    def phases(self) -> Counter[Phase]:
        """How many machines are in each phase."""
        return Counter(machine.phase for machine in self.machines)

    def unfinished(self, until: Until) -> list[End]:
        """Machines that are not at their expected end, with what they lack."""
        ends = (
            End(machine.name, machine.phase, missing(machine, until)) for machine in self.machines
        )
        return [end for end in ends if end.lacks]

    async def wait_until(self, is_so: Callable[[], bool], seconds: float) -> bool:
        """Look again and again until `is_so()`; False when `seconds` pass before.

        Raises what a machine's own code raised: that would be a bug of the simulator.
        """
        deadline = time.monotonic() + seconds
        pause = min(0.5, self.scenario.interval / 4)
        while not is_so():
            if time.monotonic() >= deadline:
                return False
            self._raise_crash()
            await asyncio.sleep(pause)
        return True

    def _raise_crash(self) -> None:
        tellers = [one.teller for one in self.machines if one.teller is not None]
        for task in (*self._tasks, *tellers):
            if task.done():
                task.result()

    def is_over(self, until: Until) -> bool:
        """Every machine is at its expected end, or a rule was broken: nothing to wait for."""
        if self.world.audit.count:
            return True
        return until is not Until.FOREVER and not self.unfinished(until)

    async def wait_for_end(self, until: Until, seconds: float) -> bool:
        """Wait until every machine is at its expected end; False for a deadline or broken rule."""
        return await self.wait_until(lambda: self.is_over(until), seconds) and not (
            self.world.audit.count
        )

    def result(self) -> Result:
        """What the run came to, now."""
        self._check_roles()
        return Result(
            seconds=time.monotonic() - self._started,
            machines=len(self.machines),
            phases={phase.value: count for phase, count in self.phases().items()},
            unfinished=self.unfinished(self.scenario.until),
            violations=list(self.world.audit.violations),
            violation_count=self.world.audit.count,
            most_down_at_once=self.world.audit.most_down_at_once,
            turns_taken=self.world.audit.turns_taken,
            missing_assets=self.world.costs.missing_assets,
            routes=self.world.costs.as_json(),
        )

    def _check_roles(self) -> None:
        """The control plane has the size that was expected, and twins never have a role each."""
        members = [one.name for one in self.machines if "kubernetes-control-plane" in one.roles]
        expected = self.scenario.control_plane
        if expected is not None and len(members) != expected:
            self.world.audit.violation(
                f"the control plane has {len(members)} machines, expected {expected}: {members}"
            )
        twins = [one.name for one in self._twins() if one.roles]
        if len(twins) > 1:
            self.world.audit.violation(f"machines with one UUID have a role each: {twins}")

    def _twins(self) -> Sequence[Machine]:
        return [one for one in self.machines if one.has(Fault.DUPLICATE_UUID)]


async def simulate(scenario: Scenario, say: Say = _silence) -> Result:
    """Run one scenario to its end or deadline; the result says whether all went as expected."""
    async with Fleet(scenario, say) as fleet:
        await fleet.wait_for_end(scenario.until, scenario.deadline)
        return fleet.result()
