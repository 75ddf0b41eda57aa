"""What answers in the lab's network: DHCP and names by dnsmasq, a switch's LLDP by lldpd."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from lab import netns
from lab.errors import LabFailed
from lab.ledger import Ledger
from lab.paths import LabPaths
from lab.programs import Background, end, marked, run, start
from lab.templating import fill
from lab.topology import LabMachine, Topology
from lab.wait import TimeIsUp, until

_START_SECONDS = 120.0
_LLDP_SECONDS = 5
_NOTE_PID = ["sh", "-c", 'echo $$ >"$0" && exec "$@"']
_DHCP_PORT = ":0043"  # 67, as /proc/net/udp writes it


@dataclass(frozen=True, slots=True)
class _Service:
    """One program: its configuration, its command, and how one sees that it answers."""

    name: str
    config: Path
    text: str
    command: list[str]
    answers: Callable[[Background], bool]


class Services:
    """The background programs of one lab's network."""

    def __init__(
        self, paths: LabPaths, topology: Topology, namespace: str, api_uri: str, ledger: Ledger
    ) -> None:
        self._paths = paths
        self._topology = topology
        self._namespace = namespace
        self._api_uri = api_uri
        self._ledger = ledger
        # lldpd reads its file and makes its socket without root's rights, and a path of a socket
        # has at most 107 bytes: not below the state directory.
        self._run_folder = Path("/run") / namespace

    def up(self) -> None:
        """Start what does not run or runs with another configuration."""
        self._paths.network.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._ledger.note("folder", str(self._run_folder))
        self._run_folder.mkdir(exist_ok=True, mode=0o755)
        wanted = self._wanted()
        for name in self._ledger.process_names():
            if name.startswith("lldpd-") and name not in {one.name for one in wanted}:
                self._stop(name)
        for service in wanted:
            self._ensure(service)

    def down(self) -> None:
        """End what the ledger names; the namespace's end takes what it does not name."""
        for name in self._ledger.process_names():
            if name == "dnsmasq" or name.startswith("lldpd-"):
                self._stop(name)
        if self._ledger.has("folder", str(self._run_folder)):
            shutil.rmtree(self._run_folder, ignore_errors=True)
            self._ledger.forget("folder", str(self._run_folder))

    def problems(self) -> list[str]:
        """A sentence for each program that does not run."""
        return [
            f"{service.name} does not run; its log is {self._log(service.name)}."
            for service in self._wanted()
            if self._ledger.process(service.name) is None
        ]

    def _wanted(self) -> list[_Service]:
        racks: dict[str, list[LabMachine]] = {}
        for machine in self._topology.machines:
            racks.setdefault(machine.chassis, []).append(machine)
        return [self._dnsmasq(), *(self._lldpd(name, of) for name, of in racks.items())]

    def _ensure(self, service: _Service) -> None:
        is_same = service.config.exists() and service.config.read_text() == service.text
        process = self._ledger.process(service.name)
        if is_same and process is not None and service.answers(process):
            return
        # Stopped before the file changes: what runs always runs with the file as it stands.
        self._stop(service.name)
        service.config.write_text(service.text)
        command = [*_NOTE_PID, str(self._pid_file(service.name)), *service.command]
        command = netns.inside(self._namespace, command)
        log = self._log(service.name)
        process = start(command, folder=self._paths.root, part=service.name, log=log)
        self._ledger.put_process(service.name, process)
        self._await(service, process, log)

    def _await(self, service: _Service, process: Background, log: Path) -> None:
        try:
            until(
                lambda: service.answers(process) or not process.is_alive,
                seconds=_START_SECONDS,
                what=f"{service.name} answering",
                every=0.05,
            )
        except TimeIsUp as error:
            raise LabFailed(f"{error}; its log is {log}.") from error
        if not process.is_alive:
            said = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
            raise LabFailed(f"{service.name} ended at once; {log} ends with:\n{said}")

    def _stop(self, name: str) -> None:
        process = self._ledger.process(name)
        if process is not None:
            process.stop()
        # Also one that was started by a run that was killed before it could write that down.
        end([*marked(self._paths.root, name), *self._strays(name)])
        self._ledger.put_process(name, None)

    def _strays(self, name: str) -> list[psutil.Process]:
        """The process that wrote its number down: lldpd overwrites its marks with a title."""
        if not netns.is_namespace(self._namespace) or not self._pid_file(name).exists():
            return []
        number = self._pid_file(name).read_text().strip()
        # A number alone may be another process's by now; nobody else's is in this namespace.
        inside = netns.processes_in(self._namespace)
        return [process for process in inside if str(process.pid) == number]

    def _pid_file(self, name: str) -> Path:
        return self._run_folder / f"{name}.pid"

    def _log(self, name: str) -> Path:
        return self._paths.network / f"{name}.log"

    def _dnsmasq(self) -> _Service:
        config = self._paths.network / "dnsmasq.conf"
        text = fill(
            "dnsmasq.conf.j2",
            lab=self._topology.name,
            bridge="lab0",
            network=self._topology.network,
            engine=self._topology.engine_address,
            switch=self._topology.switch_address,
            machines=self._topology.machines,
            leases=self._paths.network / "leases",
            boot_url=f"{self._api_uri}/boot.ipxe",
        )
        command = ["dnsmasq", f"--conf-file={config}", "--pid-file"]
        return _Service("dnsmasq", config, text, command, _listens_for_dhcp)

    def _lldpd(self, chassis: str, machines: list[LabMachine]) -> _Service:
        name = f"lldpd-{chassis}"
        config = self._run_folder / f"{name}.conf"
        text = fill(
            "lldpd.conf.j2",
            lab=self._topology.name,
            chassis=chassis,
            switch=self._topology.switch_address,
            ports=[f"p{machine.position}" for machine in machines],
            interval=_LLDP_SECONDS,
        )
        socket = self._run_folder / f"{name}.sock"
        command = ["lldpd", "-d", "-u", str(socket), "-O", str(config)]
        return _Service(name, config, text, command, lambda _: _speaks_for(socket, chassis))


def _speaks_for(socket: Path, chassis: str) -> bool:
    """Whether lldpd answers, and has read its configuration: then it has the rack's name."""
    command = ["lldpcli", "-u", str(socket), "-f", "keyvalue", "show", "chassis"]
    try:
        return f"chassis.name={chassis}\n" in run(command)
    except LabFailed:
        return False


def _listens_for_dhcp(process: Background) -> bool:
    """Whether a socket listens for DHCP in the network that the process lives in."""
    try:
        rows = Path(f"/proc/{process.pid}/net/udp").read_text().splitlines()[1:]
    except OSError:
        return False
    return any(row.split()[1].endswith(_DHCP_PORT) for row in rows)
