"""A lab of container machines whose story a test tells: its steps, and what is seen of it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from lab import netns
from lab.diagnosis import diagnose
from lab.drivers.base import DriverFailed
from lab.drivers.nspawn import NspawnDriver
from lab.drivers.nspawn.cgroups import MOUNTS
from lab.engine import OwnEngine
from lab.errors import LabFailed
from lab.fleetview import EngineView
from lab.http import Answer, NoAnswer, ask
from lab.lab import Lab, open_lab
from lab.paths import LabPaths
from lab.programs import marked, run
from lab.sshkey import ssh_command
from lab.takedown import down
from lab.topology import LabMachine, Topology
from lab.wait import until

CONTROL_PLANE = "etcd-member,kubernetes-control-plane"
NODE = "kubernetes-node"

PATIENCE_SECONDS = 300.0
"""How long an engine or a machine that is up may take to answer, on a computer with more to do."""

Away = tuple[float, float, str]
"""A machine did not run its installed system: from, to, its name."""


@dataclass
class Story:
    """One lab, and what was seen of it."""

    lab: Lab
    say: Callable[[str], None]
    step: str = ""
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def driver(self) -> NspawnDriver:
        assert isinstance(self.lab.driver, NspawnDriver)
        return self.lab.driver

    @property
    def engine(self) -> OwnEngine:
        assert isinstance(self.lab.engine, OwnEngine)
        return self.lab.engine

    @property
    def machines(self) -> tuple[LabMachine, ...]:
        return self.lab.topology.machines

    @contextmanager
    def telling(self, step: str) -> Iterator[None]:
        """A step; its failure names it, the machines that are not well, and their last words."""
        self.step = step
        started = time.monotonic()
        self.say(f"== {step}")
        try:
            yield
        except (AssertionError, LabFailed, DriverFailed, NoAnswer, OSError) as error:
            raise AssertionError(f"step {step!r}: {error}\n{self.last_words()}") from error
        self.seconds[step] = time.monotonic() - started

    def last_words(self) -> str:
        found = [f"engine:\n{self.engine.tail()}", *self.engine_errors()]
        for name, sight in self.lab.sights().items():
            found += diagnose(self.lab, name, sight.phase(), 0.0).lines()
        return "\n".join(found)

    def engine_errors(self) -> list[str]:
        """What the engine's parts complained of."""
        found = []
        for log in sorted((self.lab.paths.engine / "logs").glob("*")):
            lines = log.read_text(errors="replace").splitlines()
            bad = [at for at, line in enumerate(lines) if "Traceback" in line or " ERROR " in line]
            found += [f"{log.name}: {line}" for at in bad[-1:] for line in lines[at : at + 60]]
        return found

    # What the engine says

    def views(self) -> dict[str, EngineView]:
        """What the engine says of each machine."""
        found = until(self.lab.engine_views, seconds=PATIENCE_SECONDS, what="the engine's views")
        assert found is not None
        return found

    def ask(self, path: str) -> Answer:
        """What the engine answers on one of its routes."""
        return ask(f"{self.engine.url}{path}", seconds=PATIENCE_SECONDS)

    def manage_json(self, *words: str, text: str | None = None) -> Any:
        """What one of the engine's commands answers as JSON."""
        return json.loads(self.engine.manage(*words, "--json", text=text))

    def show(self, machine: LabMachine) -> dict[str, Any]:
        facts = self.manage_json("machine", "show", machine.mac)
        assert isinstance(facts, dict)
        return facts

    def slots_held(self) -> int:
        text = self.ask("/metrics").body.decode()
        found = re.findall(r"^enjoliver_slots_held\S* (\S+)$", text, re.M)
        return sum(int(float(number)) for number in found)

    # Waiting

    def where(self) -> str:
        return "; ".join(f"{name} {sight.phase()}" for name, sight in self.lab.sights().items())

    def wait(self, is_so: Callable[[], Any], what: str, seconds: float = 1800.0) -> Any:
        return until(is_so, seconds=seconds, what=what, every=0.5, last=self.where)

    def wait_up_to_date(self, since: float, *, names: set[str] | None = None) -> None:
        """Until they all have reported after `since` that they run what they should."""

        def is_done() -> bool:
            views = self.views()
            wanted = names or {machine.name for machine in self.machines}
            return wanted <= {
                name
                for name, view in views.items()
                if view.is_up_to_date
                and view.reported_at is not None
                and view.reported_at.timestamp() >= since
            }

        self.wait(is_done, f"{', '.join(sorted(names or {'all machines'}))} up to date")

    def ssh(self, machine: LabMachine, command: str) -> str:
        """What a command says on the machine; its agent may have reported before sshd listens."""
        words = ssh_command(self.lab.paths, machine, [command], seconds=60)
        problems: list[str] = []

        def said() -> tuple[str] | None:
            try:
                return (run(self.driver.enter(machine, words)),)
            except LabFailed as error:
                problems[:] = [str(error)]
                return None

        what = f"`{command}` on {machine.name}"
        found = until(
            said, seconds=PATIENCE_SECONDS, what=what, every=1.0, last=lambda: problems[0]
        )
        assert found is not None
        return found[0]

    # What is seen of the machines

    def disk(self, machine: LabMachine) -> Path:
        return self.driver.folder(machine).hardware / "dev/sda"

    def hosts(self, machine: LabMachine) -> str:
        """The `/etc/hosts` of its installed system, read off its disk."""
        return (self.driver.folder(machine).disks / "sda/upper/etc/hosts").read_text()

    def runs_installed(self, machine: LabMachine) -> bool:
        return self.driver.folder(machine).read_phases()[-1][1] == "installed"

    def is_back(self, machine: LabMachine, since: float) -> bool:
        """Whether its installed system started after `since`."""
        at, phase, _ = self.driver.folder(machine).read_phases()[-1]
        return phase == "installed" and at > since

    def asked_firmware(self, machine: LabMachine) -> bool:
        """Whether its firmware asked the network at its last start; not so after kexec."""
        console = self.driver.console(machine).read_text(errors="replace")
        return "/ipxe?uuid=" in console.rpartition("] reboots\n")[2]

    def times_away(
        self, since: float, machines: tuple[LabMachine, ...] | None = None
    ) -> list[Away]:
        """When each machine was not running its installed system, in the order of leaving."""
        found = []
        for machine in self.machines if machines is None else machines:
            left = None
            for at, phase, _ in self.driver.folder(machine).read_phases():
                if phase != "installed" and left is None:
                    left = at
                elif phase == "installed" and left is not None:
                    found.append((left, at, machine.name))
                    left = None
            assert left is None, f"{machine.name} is away"
        return sorted(one for one in found if one[0] >= since)

    def one_by_one(self, since: float) -> list[Away]:
        """When each was away after `since`; fails where two were at the same time."""
        away = self.times_away(since)
        for gone, back, name in away:
            self.say(f"{name} was away from {gone - since:.1f} s to {back - since:.1f} s")
        for (_, back, first), (gone, _, second) in pairwise(away):
            assert gone > back, f"{second} went down before {first} was back: {away}"
        return away


@contextmanager
def told(paths: LabPaths, topology: Topology, say: Callable[[str], None]) -> Iterator[Story]:
    """A lab that is not made yet, and of which nothing is left behind."""
    story = Story(open_lab(paths, topology), say)
    try:
        yield story
    finally:
        problems = down(story.lab, say)
        say("  ".join(f"{step}: {seconds:.0f} s" for step, seconds in story.seconds.items()))
    assert problems == []
    assert not [name for name in netns.namespaces() if topology.name in name]
    assert not marked(paths.root)
    assert not list(MOUNTS.glob(f"*/enj-{topology.name}-*"))
    assert topology.name not in Path("/proc/self/mounts").read_text()
