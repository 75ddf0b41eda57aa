"""A rollout under policies with everything that goes wrong, and an operator who sees to it."""

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any

from simulator.audit import Promise
from simulator.fleet import Fleet
from simulator.scenario import Scenario, Until
from tests.e2e.engine import PATIENCE, wait_until

NODE, PLANE = "kubernetes-node", "kubernetes-control-plane"
SILENT_SECONDS = 120


@dataclass(slots=True)
class Proof:
    """One run. `most` and `per_domain` are the workers' limits; `patience` bounds each half of it,
    in seconds."""

    engine: Any
    scenario: Scenario
    most: str
    per_domain: int
    plane_size: int
    patience: float
    pauses: list[str] = field(default_factory=list)
    kills: int = 0
    seconds: tuple[float, ...] = ()

    def run(self):
        """The whole story; the fleet, as it is at the end."""
        return asyncio.run(self._tell())

    async def _tell(self):
        async with Fleet(self.scenario) as fleet:
            started = time.monotonic()
            await self._install(fleet)
            installed = time.monotonic()
            await asyncio.to_thread(self._apply_policies, fleet)
            await asyncio.to_thread(self.engine.manage, "values", "set", "ntp=proof.example.test")
            await self._roll(fleet)
            self.seconds = (installed - started, time.monotonic() - installed)
            return fleet

    async def _install(self, fleet):
        is_there = lambda: not fleet.unfinished(Until.INSTALLED)  # noqa: E731
        in_time = await fleet.wait_until(is_there, self.patience)
        assert in_time, fleet.result().as_json()

    # --- what an operator does before -----------------------------------------------------------

    def _apply_policies(self, fleet):
        self._policy("workers", NODE, self.most, self.per_domain)
        self._policy("plane", PLANE, "1", 0)
        workers = len(fleet.machines) - self.plane_size
        most = workers * int(self.most[:-1]) // 100
        audit = fleet.world.audit
        audit.promises["workers"] = Promise(
            NODE, max(1, most), self.per_domain, silent_seconds=SILENT_SECONDS
        )
        audit.promises["plane"] = Promise(PLANE, 1, silent_seconds=SILENT_SECONDS)

    def _policy(self, name, role, most, per_domain):
        document = {
            "name": name,
            "selector": {"roles": [role]},
            "strategy": "reboot",
            "max_unavailable": most,
            "max_unavailable_per_domain": str(per_domain or ""),
            "canary_count": 1,
            "settle_seconds": 0,
            "return_seconds": 60,
            "silent_seconds": SILENT_SECONDS,
        }
        self._ask("POST", "/api/v1/policies", document)

    # --- and while it goes on -------------------------------------------------------------------

    async def _roll(self, fleet):
        deadline = time.monotonic() + self.patience
        while time.monotonic() < deadline and not fleet.world.audit.count:
            rollouts = await asyncio.to_thread(self._rollouts)
            # The liar's policy may have had a rollout for it alone before the change.
            is_whole = rollouts.keys() >= {"workers", "plane"}
            if is_whole and all(one["state"] == "completed" for one in rollouts.values()):
                return
            for one in rollouts.values():
                if one["state"] == "paused":
                    await asyncio.to_thread(self._go_on_without_the_failed, one)
            workers = rollouts.get("workers", {"machines": {}})
            if self.kills < 2 and workers["machines"].get("done", 0) > 5 * (self.kills + 1):
                await asyncio.to_thread(self._cut_the_power)
            await asyncio.sleep(1)

    def _rollouts(self):
        """The newest rollout of each policy."""
        items = self._ask("GET", "/api/v1/rollouts?limit=20")["items"]
        return {one["policy"]: one for one in reversed(items)}

    def _go_on_without_the_failed(self, rollout):
        self.pauses.append(rollout["reason"])
        path = f"/api/v1/rollouts/{rollout['id']}"
        for place in self._ask("GET", f"{path}/machines?state=failed")["items"]:
            self.pauses.append(place["reason"])  # the pause may be for another one
            wanted = {"machine": place["mac"], "reason": "it will not come back"}
            self._ask("POST", f"{path}/skip", wanted)
        self._ask("POST", f"{path}/resume", {})

    def _cut_the_power(self):
        self.kills += 1
        self.engine.kill()
        self.engine.start()
        wait_until(lambda: self.engine.ask("GET", "/api/v1/rollouts")[0] == 200, PATIENCE)

    def _ask(self, method, path, document=None):
        status, body = self.engine.ask(method, path, document, is_operator=True)
        assert status in (200, 201, 409), (method, path, status, body[:500])
        return json.loads(body)
