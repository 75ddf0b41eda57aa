"""One simulated machine: its phase, what it remembers, and how it asks, waits and speaks.

What it does in each phase stands in `firmware.py`, `discovery.py` and `installed.py`.
"""

from __future__ import annotations

import asyncio
import json
import random
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from simulator.audit import Audit
from simulator.client import Answer, Client, Refused, Wire
from simulator.disks import Disks, Installed
from simulator.facts import Identity
from simulator.faults import Fault
from simulator.ignition import BadConfig, Config
from simulator.metrics import Costs
from simulator.scenario import Timing


class Phase(StrEnum):
    """What the machine is doing; the value is how people read it."""

    OFF = "powered off"
    FIRMWARE = "network boot"
    NO_DISK = "no bootable disk"
    DISCOVERY = "discovery"
    WAITING = "waits for its role"
    GATE = "waits for the install gate"
    INSTALLING = "installing"
    FAILED = "failed to install"
    INSTALLED = "installed"
    STARTING = "starting"
    RUNNING = "running"
    OUTDATED = "outdated"
    SLOT = "waits for the slot"
    DOWN = "down for its update"
    SILENT = "silent"


INSTALLED_PHASES = frozenset(
    {Phase.STARTING, Phase.RUNNING, Phase.OUTDATED, Phase.SLOT, Phase.DOWN}
)


@dataclass(slots=True)
class World:
    """What all machines of a fleet share."""

    url: str
    timing: Timing
    client: Client
    costs: Costs
    audit: Audit
    disks: Disks
    say: Callable[[str, str], None]
    """Takes a machine's name and one sentence in plain words."""


@dataclass(slots=True, eq=False)
class Machine:
    """One machine. `api` is the engine's address as the machine learnt it at boot."""

    who: Identity
    world: World
    faults: frozenset[Fault]
    dice: random.Random
    wire: Wire
    phase: Phase = Phase.OFF
    api: str = ""
    config_url: str = ""
    boot_id: str = ""
    roles: tuple[str, ...] = ()
    attempt: str = ""
    grant_seconds: float = 0.0
    strategy: str = ""
    lock: Mapping[str, str] = field(default_factory=dict)
    is_up_to_date: bool | None = None
    is_full_wanted: bool = False
    is_install_confirmed: bool = False
    may_reinstall: bool = False
    installs: int = 0
    polls: int = 0
    reports: int = 0
    retries: int = 0
    last_words: str = ""
    word: tuple[str, str] | None = None
    teller: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """The short host name."""
        return self.who.hostname

    @property
    def domain(self) -> str:
        """What it fails together with."""
        return f"rack {self.who.rack}"

    @property
    def role(self) -> str:
        """The role that names its policy."""
        return self.roles[-1] if self.roles else ""

    @property
    def timing(self) -> Timing:
        """The durations of this run."""
        return self.world.timing

    def has(self, fault: Fault) -> bool:
        """True when this machine misbehaves in this way."""
        return fault in self.faults

    def say(self, words: str) -> None:
        """Tell the watcher one sentence, once."""
        if words != self.last_words:
            self.last_words = words
            self.world.say(self.name, words)

    def violation(self, words: str) -> None:
        """Record a broken rule that concerns this machine."""
        self.world.audit.violation(f"{self.name}: {words}")

    def new_boot(self) -> None:
        """Forget what does not survive a reset."""
        self.boot_id = str(uuid.UUID(int=self.dice.getrandbits(128), version=4))
        self.strategy, self.polls = "", 0

    async def pause(self, seconds: float) -> None:
        """Let time pass, give or take a quarter, so that a fleet does not march in step."""
        await asyncio.sleep(seconds * self.dice.uniform(0.75, 1.25))

    async def back_off(self) -> None:
        """Wait before trying again, longer each time."""
        self.retries += 1
        seconds = self.timing.poll * 1.5 ** min(self.retries, 12)
        await self.pause(min(seconds, self.timing.longest_pause))

    async def get(
        self,
        path: str,
        *,
        route: str = "",
        headers: Mapping[str, str] | None = None,
        expected: Collection[int] = (200,),
        base: str = "",
    ) -> Answer:
        """GET a path of the engine; raises Unreachable, or Refused for another status."""
        url = (base or self.api) + path
        return await self._send("GET", url, route or path, expected, headers=headers)

    async def post(
        self,
        path: str,
        *,
        route: str = "",
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        expected: Collection[int] = (200,),
        base: str = "",
    ) -> Answer:
        """POST to a path of the engine, as `get`."""
        url = (base or self.api) + path
        return await self._send("POST", url, route or path, expected, body, headers)

    async def fetch(self, url: str, *, expected: Collection[int] = (200,)) -> Answer:
        """GET an absolute URL that a boot script gave."""
        path = "/" + url.partition("://")[2].partition("?")[0].partition("/")[2]
        return await self._send("GET", url, _asset_route(path), expected)

    async def probe(self, url: str) -> Answer:
        """HEAD an asset; whatever comes is an answer."""
        path = "/" + url.partition("://")[2].partition("/")[2]
        return await self._send("HEAD", url, _asset_route(path), range(200, 500))

    async def _send(
        self,
        method: str,
        url: str,
        route: str,
        expected: Collection[int],
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        answer = await self.world.client.send(
            method, url, route=route, wire=self.wire, body=body, headers=headers
        )
        if answer.status == 500:
            self.violation(f"{method} {route} answered 500")
        if answer.status not in expected:
            raise Refused(f"{method} {route}", answer)
        return answer

    def disk(self) -> Installed:
        """What is installed; raises BadConfig on an empty disk."""
        content = self.world.disks.read(self.who.mac)
        if content is None:
            raise BadConfig("the disk is empty")
        return content

    def check_identity(self, config: Config) -> bool:
        """True when a role's config is this machine's own; anything else is a violation."""
        wrong = config.contradictions(uuid=self.who.uuid, mac=self.who.mac, roles=self.roles)
        if wrong:
            self.violation(f"was served a config that is not its own: {'; '.join(wrong)}")
        return not wrong


def _asset_route(path: str) -> str:
    return "/assets/…" if path.startswith("/assets/") else path


def as_body(document: Any) -> bytes:
    """A JSON body."""
    return json.dumps(document).encode()
