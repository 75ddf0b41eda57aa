"""`lab plan`: what `lab up` would make, leave and remove."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from lab import netns
from lab.bringup import leaving
from lab.lab import Lab
from lab.topologyrules import moved


@dataclass(slots=True)
class Plan:
    """A line for each thing; `obstacles` are what would stop `up`."""

    make: list[str] = field(default_factory=list)
    leave: list[str] = field(default_factory=list)
    remove: list[str] = field(default_factory=list)
    obstacles: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)

    def lines(self) -> list[str]:
        """For people."""
        marks = (("+", self.make), ("=", self.leave), ("-", self.remove), ("!", self.obstacles))
        return [f"{mark} {line}" for mark, lines in marks for line in lines]


def plan(lab: Lab) -> Plan:
    """Look at everything, change nothing."""
    found = Plan(obstacles=lab.missing())
    _network(lab, found)
    _engine(lab, found)
    _machines(lab, found)
    made = lab.made_topology()
    if made is not None:
        found.obstacles += moved(made, lab.topology, lab.ledger.names("machine"))
    return found


def _network(lab: Lab, found: Plan) -> None:
    line = f"network {lab.topology.network}: namespace {lab.network.namespace}, DHCP, LLDP"
    if not netns.is_namespace(lab.network.namespace):
        found.make.append(line)
        return
    problems = lab.network.problems()
    (found.make if problems else found.leave).append(" ".join([f"{line}.", *problems]))


def _engine(lab: Lab, found: Plan) -> None:
    line = f"engine {lab.engine.url}, control plane of {lab.topology.control_plane}"
    (found.leave if lab.engine.is_running else found.make).append(line)


def _machines(lab: Lab, found: Plan) -> None:
    for machine in lab.topology.machines:
        state = lab.driver.state(machine)
        spec = machine.spec
        disks = ", ".join(f"{disk.name} {disk.size_gib} GiB" for disk in spec.disks)
        what = (
            f"machine {machine.name}: {spec.cpus} CPU, {spec.memory_mib} MiB, {disks}, "
            f"{machine.address.ip}, {machine.mac}, rack {spec.rack}"
        )
        if not state.is_defined:
            found.make.append(what)
        elif state.power == "off":
            found.make.append(f"{what}: it is there, and is switched on")
        else:
            found.leave.append(what)
    found.remove += [f"machine {machine.name}" for machine in leaving(lab)]
