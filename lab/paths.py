"""Where a lab keeps its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class LabPaths:
    """The folder of one lab, `<state dir>/lab/<name>/`, and what lies where in it.

    Nothing is made by asking for a path, except by `machine_folder`.
    """

    state_dir: Path
    name: str

    @property
    def root(self) -> Path:
        """The lab's own folder; `lab down` removes it."""
        return self.state_dir.absolute() / "lab" / self.name

    @property
    def ledger(self) -> Path:
        """What was made, and so what may be removed."""
        return self.root / "lab.json"

    @property
    def lock(self) -> Path:
        """Held by whoever changes the lab. Beside the lab's folder, so that it outlives it."""
        return self.root.with_name(f"{self.name}.lock")

    @property
    def ssh(self) -> Path:
        """The folder with the lab's key."""
        return self.root / "ssh"

    @property
    def ssh_key(self) -> Path:
        """The private key; its public half has `.pub` behind it."""
        return self.ssh / "id_ed25519"

    @property
    def ssh_public_key(self) -> Path:
        """The half that the machines get."""
        return self.ssh_key.with_suffix(".pub")

    @property
    def engine(self) -> Path:
        """The state directory of the lab's engine."""
        return self.root / "engine"

    @property
    def network(self) -> Path:
        """Files of dnsmasq and of each rack's lldpd."""
        return self.root / "network"

    @property
    def driver(self) -> Path:
        """What a driver keeps for the whole lab, and not for one machine."""
        return self.root / "driver"

    @property
    def machines(self) -> Path:
        """One folder per machine."""
        return self.root / "machines"

    def machine(self, name: str) -> Path:
        """Everything of one machine: disks, roots, console."""
        return self.machines / name

    def console(self, name: str) -> Path:
        """The file with everything that a machine wrote on its console."""
        return self.machine(name) / "console.log"

    @property
    def cache(self) -> Path:
        """Images and what they are built from, shared by all labs of this work tree."""
        return REPOSITORY / ".cache" / "lab"

    def machine_folder(self, name: str) -> Path:
        """The folder of one machine, made if it is not there."""
        folder = self.machine(name)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder
