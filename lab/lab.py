"""One lab with all its parts: what every command works on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lab import topologyfile
from lab.computer import missing_programs
from lab.driverload import LoadDriver, load_driver
from lab.drivers.base import Driver
from lab.engine import Engine, OtherEngine, OwnEngine
from lab.errors import LabFailed
from lab.fleetview import EngineView, look
from lab.http import NoAnswer
from lab.ledger import Ledger
from lab.network import Network
from lab.paths import LabPaths
from lab.phases import Sight
from lab.topology import LabMachine, Topology


@dataclass(frozen=True, slots=True)
class Lab:
    """A lab, whether it stands, is half made, or only planned."""

    paths: LabPaths
    topology: Topology
    ledger: Ledger
    engine: Engine
    network: Network
    driver: Driver

    def machine(self, name: str) -> LabMachine:
        """The machine of that name; LabFailed names those that there are."""
        for machine in self.topology.machines:
            if machine.name == name:
                return machine
        names = ", ".join(machine.name for machine in self.topology.machines)
        raise LabFailed(f"There is no machine {name} in the lab {self.topology.name}: {names}.")

    def engine_views(self) -> dict[str, EngineView] | None:
        """What the engine says of each machine; None when it does not answer."""
        try:
            return look(self.engine.url, self.topology.machines)
        except NoAnswer:
            return None

    def sights(self) -> dict[str, Sight]:
        """Each machine as driver and engine see it now."""
        views = self.engine_views()
        found = {}
        for machine in self.topology.machines:
            state = self.driver.state(machine)
            is_plugged = not state.is_defined or self.network.is_link_up(machine)
            found[machine.name] = Sight(state, views[machine.name] if views else None, is_plugged)
        return found

    def missing(self) -> list[str]:
        """What this computer lacks for this lab, a sentence each."""
        return missing_programs() + self.driver.missing()

    def made_topology(self) -> Topology | None:
        """The topology of the last `up`; None before the first."""
        document = self.ledger.read().get("topology")
        return topologyfile.read(document, source=str(self.paths.ledger)) if document else None


def open_lab(
    paths: LabPaths, topology: Topology, *, engine_url: str = "", load: LoadDriver = load_driver
) -> Lab:
    """The lab of a topology, with the engine that it was or will be made with."""
    ledger = Ledger(paths)
    url = engine_url or str(ledger.read().get("engine_url", ""))
    engine = OtherEngine(url, topology) if url else OwnEngine(paths, topology, ledger)
    network = Network(paths, topology, api_uri=engine.url)
    return Lab(paths, topology, ledger, engine, network, load(paths, topology, network))


def made_lab(state_dir: Path, name: str = "", *, load: LoadDriver = load_driver) -> Lab:
    """A lab that was made (or begun), out of its ledger; the only one when no name is given."""
    names = sorted(made_names(state_dir))
    if not name and len(names) > 1:
        raise LabFailed(f"There are several labs; say which one by --name: {', '.join(names)}.")
    name = name or (names[0] if names else "")
    if name not in names:
        hint = f" There is: {', '.join(names)}." if names else " `lab up` makes one."
        raise LabFailed(f"There is no lab{f' {name}' if name else ''} here.{hint}")
    paths = LabPaths(state_dir, name)
    document = Ledger(paths).read().get("topology", {"name": name})
    return open_lab(paths, topologyfile.read(document, source=str(paths.ledger)), load=load)


def made_names(state_dir: Path) -> Iterable[str]:
    """Labs that have a ledger in this state directory."""
    return (path.parent.name for path in (state_dir / "lab").glob("*/lab.json"))
