"""`lab break`: what happens to machines and engines in real life, on request."""

from __future__ import annotations

from collections.abc import Callable

from lab.drivers.base import BreaksDisks, DiskFault, Say
from lab.errors import LabFailed
from lab.lab import Lab
from lab.topology import LabMachine

MACHINE_FAULTS = {
    "kill": "pull the plug; it stays off until `lab power MACHINE on`",
    "cut-network": "pull the network cable",
    "mend-network": "plug the network cable in again",
    "foreign-disk": "put somebody else's data on its disks, while it is off",
    "lose-disk": "replace its first disk by an empty one, while it is off",
}
ENGINE_FAULTS = {
    "stop": "stop the engine in order",
    "kill": "kill all its processes, as a loss of power does",
    "start": "start it again",
}


def break_machine(lab: Lab, name: str, fault: str, say: Say) -> None:
    """Do one of MACHINE_FAULTS to a machine; LabFailed or DriverFailed when it cannot be done."""
    machine = lab.machine(name)
    acts: dict[str, Callable[[], None]] = {
        "kill": lambda: lab.driver.power_off(machine, is_hard=True),
        "cut-network": lambda: lab.driver.set_link(machine, is_up=False),
        "mend-network": lambda: lab.driver.set_link(machine, is_up=True),
        "foreign-disk": lambda: _break_disks(lab, machine, "foreign-disk", say),
        "lose-disk": lambda: _break_disks(lab, machine, "lose-disk", say),
    }
    if fault not in acts:
        raise LabFailed(f"{fault} is no fault of a machine; there are: {', '.join(acts)}.")
    if not lab.driver.state(machine).is_defined:
        raise LabFailed(f"{name} is not made; `lab up` makes it.")
    acts[fault]()
    say(f"{name}: {fault} done")


def break_engine(lab: Lab, act: str, say: Say) -> None:
    """Do one of ENGINE_FAULTS to the lab's own engine."""
    acts = {"stop": lab.engine.stop, "kill": lab.engine.kill, "start": lab.engine.start}
    if act not in acts:
        raise LabFailed(f"{act} is nothing to do to the engine; there are: {', '.join(acts)}.")
    acts[act]()
    say(f"engine: {act} done")


def _break_disks(lab: Lab, machine: LabMachine, fault: DiskFault, say: Say) -> None:
    if not isinstance(lab.driver, BreaksDisks):
        raise LabFailed(f"The driver {lab.driver.name} cannot do that to disks.")
    is_on = lab.driver.state(machine).power == "on"
    if is_on:
        lab.driver.power_off(machine, is_hard=True)
    say(lab.driver.break_disks(machine, fault))
    if is_on:
        lab.driver.power_on(machine)
