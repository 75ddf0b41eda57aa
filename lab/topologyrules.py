"""What the fields of a topology must be to each other. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator

from lab.topology import MACHINES_FROM, LabMachine, Topology

_LONGEST_MACHINE = 40


Contradiction = tuple[set[str], str]
"""The fields that it is between, and a sentence that begins with the one to change."""


def contradictions(topology: Topology, wrong: Collection[str] = ()) -> list[str]:
    """A sentence for each contradiction, by its field; empty when there is none.

    `wrong` are top-level fields that could not be read: nothing is said about these.
    """
    found = [*_control_plane(topology), *_network(topology), *_machines(topology)]
    return [text for fields, text in found if fields.isdisjoint(wrong)]


def moved(before: Topology, now: Topology, made: Collection[str]) -> list[str]:
    """What may not change while a lab stands, a sentence each; `made` names its machines.

    A machine's address, name and port follow from its place in the file, its network from the
    lab: a machine would be another one under the same name.
    """
    found = [
        f"{field}: is {new} and the lab was made with {old}"
        for field, old, new in (
            ("driver", before.driver, now.driver),
            ("network", before.network, now.network),
            ("control_plane", before.control_plane, now.control_plane),
        )
        if old != new
    ]
    places = {machine.name: machine for machine in before.machines}
    for machine in now.machines:
        known = places.get(machine.name)
        if known is not None and known.name in made:
            found += _changes(known, machine)
    return found


def _changes(known: LabMachine, machine: LabMachine) -> Iterator[str]:
    path = f"machines[{machine.position - 1}] ({machine.name})"
    if known.position != machine.position:
        yield (
            f"{path}: its place was {known.position} and would be {machine.position}; keep the "
            "order, add machines at the end and take them away from there"
        )
    elif known.spec != machine.spec:
        yield f"{path}: differs from the machine that was made"


def _control_plane(topology: Topology) -> Iterator[Contradiction]:
    size, machines = topology.control_plane, len(topology.specs)
    if size % 2 == 0:
        text = f"control_plane: is {size}, an odd number is expected (1, 3, 5, 7 or 9)"
        yield {"control_plane"}, text
    if size > machines:
        text = f"control_plane: is {size}, and there are only {machines} machines"
        yield {"control_plane", "machines"}, text


def _network(topology: Topology) -> Iterator[Contradiction]:
    network, machines = topology.network, len(topology.specs)
    if not network.is_private or network.is_loopback or network.is_link_local:
        text = f"network: {network} is no private network (10/8, 172.16/12, 192.168/16)"
        yield {"network"}, text
    room = max(network.num_addresses - 1 - MACHINES_FROM, 0)
    if machines > room:
        text = f"network: {network} has room for {room} machines, not for {machines}"
        yield {"network", "machines"}, text


def _machines(topology: Topology) -> Iterator[Contradiction]:
    concerned = {"machines"}
    for name in _twice(spec.name for spec in topology.specs):
        yield concerned, f"machines: the name {name} stands there twice"
    for index, spec in enumerate(topology.specs):
        path = f"machines[{index}]"
        if spec.name == "engine":
            yield concerned, f"{path}.name: engine means the engine, as in `lab break engine stop`"
        if len(spec.name) > _LONGEST_MACHINE:
            yield concerned, f"{path}.name: has more than {_LONGEST_MACHINE} characters"
        for disk in _twice(disk.name for disk in spec.disks):
            yield concerned, f"{path}.disks: the name {disk} stands there twice"
    names = {machine.mac: machine.name for machine in topology.machines}
    for machine in topology.machines:
        if names[machine.mac] != machine.name:
            text = f"machines: {names[machine.mac]} and {machine.name} lead to one MAC; rename one"
            yield concerned, text


def _twice(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]
