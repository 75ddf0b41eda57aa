"""The container that is the running machine: systemd-nspawn's arguments, and how it ended.

Tried facts about cgroup v1 and v2: docs/lab.md.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from lab.drivers.nspawn.settings import MachineFolder, Settings

INIT = "/usr/lib/enjoliver-lab/container-init"
REBOOT = 133
"""nspawn's exit status when the machine asked for a reboot (systemd-nspawn(1))."""
# Everything a Kubernetes node may want; not the computer's modules, memory and clock.
_DROPPED = "CAP_SYS_MODULE,CAP_SYS_RAWIO,CAP_SYS_TIME"


def command(settings: Settings, root: Path, binds: Sequence[tuple[Path, str]]) -> list[str]:
    """The command line that boots `root`. `binds`: folders, and where the machine sees them."""
    words = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit"]
    words += ["--machine", settings.namespace, "--hostname", settings.name]
    words += ["--directory", str(root)]
    words += [f"--network-namespace-path=/run/netns/{settings.namespace}"]
    words += ["--capability=all", f"--drop-capability={_DROPPED}", "--system-call-filter=@known"]
    # As a machine of its own: /etc/machine-id comes from the UUID that its firmware tells, so it
    # stays the same whatever root it gets.
    words += [f"--uuid={settings.uuid}"]
    words += ["--resolv-conf=off", "--timezone=off", "--link-journal=no"]
    words += ["--console=read-only", "--kill-signal=SIGRTMIN+3"]
    words += [f"--bind={folder}:{inside}" for folder, inside in binds]
    return [*words, INIT]


class Container:
    """One start of the machine."""

    def __init__(self, words: Sequence[str], console: IO[bytes]) -> None:
        self._process = subprocess.Popen(
            list(words), stdin=subprocess.DEVNULL, stdout=console, stderr=console
        )

    def wait(self) -> int:
        """Until it ends; nspawn's exit status."""
        return self._process.wait()

    def shut_down(self) -> None:
        """Ask its system to power off."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)


def binds(folder: MachineFolder, oem: Path | None) -> list[tuple[Path, str]]:
    """What of its own folder the machine sees.

    Installed (`oem` is its disk's OEM folder) not the layers that its own root is made of.
    """
    if oem is None:
        return [(folder.lab, "/lab")]
    inner = [(folder.hardware, "/lab/hardware"), (folder.agent, "/lab/agent.env")]
    return [*inner, (oem, "/oem")]
