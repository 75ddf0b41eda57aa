"""`lab up`: from what is there to a lab that stands; every step may find its work done."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from lab import netns
from lab.agentbuild import agent_archive
from lab.drivers.base import Asset, BootsAtOnce, DriverFailed, Say
from lab.engine import OtherEngine
from lab.errors import LabFailed
from lab.lab import Lab
from lab.phases import Sight
from lab.sshkey import make_key
from lab.topology import LabMachine
from lab.topologyfile import document_of
from lab.topologyrules import moved
from lab.watch import Watch

REPORT_SECONDS = 10
"""How often the lab's machines report; a value of the topology goes over it."""
_BOOT_SECONDS = 180.0
_AT_ONCE = 4


class StepFailed(LabFailed):
    """A step of `up` did not succeed; `step` names it, the text says why."""

    def __init__(self, step: str, reason: str) -> None:
        self.step = step
        super().__init__(f"{step}: {reason}")


def up(lab: Lab, watch: Watch, say: Say) -> dict[str, datetime]:
    """Make what is missing and switch all machines on; when each was, of those that were off.

    Raises StepFailed; what was made stays, and the next `up` goes on from there.
    """
    with _step("computer"):
        _check(lab)
    with _step("image"):
        assets = _assets(lab, say)
    _begin(lab, say)
    with _step("network"):
        say(f"Network: {lab.topology.network} in the namespace {lab.network.namespace}")
        make_key(lab.paths)
        lab.network.up()
    with _step("engine"):
        _start_engine(lab, assets, say)
    for machine in lab.topology.machines:
        with _step(f"machine {machine.name}"):
            lab.ledger.note("machine", machine.name)
            lab.driver.define(machine)
    return _switch_on(lab, watch)


def _assets(lab: Lab, say: Say) -> list[Asset]:
    """What the engine is to serve: the driver's images, and the agent."""
    archive = agent_archive(say)
    return [*lab.driver.prepare(say), Asset(archive, f"agent/{archive.name}")]


def _check(lab: Lab) -> None:
    """Everything that would stop a later step, at once."""
    problems = lab.missing()
    if not netns.is_root():
        problems.append("The lab makes network namespaces and machines: run it as root.")
    made = lab.made_topology()
    if made is not None and lab.ledger.names("machine"):
        changes = moved(made, lab.topology, lab.ledger.names("machine"))
        problems += [f"{change}. `lab down` first, or change it back." for change in changes]
    if problems:
        raise LabFailed("\n  ".join(problems))


def _begin(lab: Lab, say: Say) -> None:
    """From here on there is something to remove: written down before it is made."""
    # Those that the file does not name any more go first: the ledger still knows their places.
    for machine in leaving(lab):
        with _step(f"machine {machine.name}"):
            say(f"{machine.name}: the file does not name it any more, removing it")
            lab.driver.power_off(machine, is_hard=True)
            lab.driver.remove(machine)
            lab.network.detach(machine)
            lab.ledger.forget("machine", machine.name)
    lab.ledger.put("topology", document_of(lab.topology))
    is_others = isinstance(lab.engine, OtherEngine)
    lab.ledger.put("engine_url", lab.engine.url if is_others else "")


def leaving(lab: Lab) -> list[LabMachine]:
    """Machines that were made and that the topology does not name any more."""
    made = lab.made_topology()
    known = {machine.name for machine in lab.topology.machines}
    gone = set(lab.ledger.names("machine")) - known
    return [] if made is None else [one for one in made.machines if one.name in gone]


def _start_engine(lab: Lab, assets: list[Asset], say: Say) -> None:
    say("Engine: starting it" if not lab.engine.is_running else "Engine: it runs")
    lab.engine.start()
    say(f"Engine: {lab.engine.url} (console: {lab.engine.url}/ui)")
    values: dict[str, object] = {"lifecycle_update_polling_seconds": REPORT_SECONDS}
    values |= lab.engine.add_assets(assets)
    values |= lab.driver.values(lab.engine.url)
    values |= lab.topology.values
    for line in lab.engine.apply(values, lab.topology.control_plane):
        say(f"Engine: {line}")


def _switch_on(lab: Lab, watch: Watch) -> dict[str, datetime]:
    """Switch on what is off, a few at a time; when each was, by this computer's clock."""
    at_once = lab.driver.boots_at_once if isinstance(lab.driver, BootsAtOnce) else _AT_ONCE
    waiting = list(lab.topology.machines)
    since: dict[str, datetime] = {}
    booting: dict[str, float] = {}
    while waiting:
        sights = watch.look(since)
        now = time.monotonic()
        booting = {
            name: begun
            for name, begun in booting.items()
            if not _has_spoken(sights[name]) and now - begun < _BOOT_SECONDS
        }
        while waiting and len(booting) < at_once:
            machine = waiting.pop(0)
            if sights[machine.name].state.power == "on":
                continue
            with _step(f"machine {machine.name}"):
                since[machine.name] = datetime.now(UTC)
                lab.driver.power_on(machine)
            booting[machine.name] = time.monotonic()
        if waiting:
            time.sleep(1.0)
    return since


def _has_spoken(sight: Sight) -> bool:
    """Whether it has got through its first boot as far as the engine can tell."""
    return sight.engine is not None and sight.engine.state not in ("", "booting")


@contextmanager
def _step(name: str) -> Iterator[None]:
    try:
        yield
    except StepFailed:
        raise
    except (LabFailed, DriverFailed, OSError) as error:
        raise StepFailed(name, str(error)) from error
