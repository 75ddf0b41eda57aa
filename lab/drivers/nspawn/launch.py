"""How a machine's supervisor is started, and told that the power button was pressed."""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from lab.drivers.nspawn.cgroups import DEVICES, is_version_2
from lab.drivers.nspawn.settings import Settings
from lab.programs import Background

_OFF_SECONDS = 180.0


def command(settings: Settings, folder: Path) -> list[str]:
    """The supervisor, in the machine's network, with mounts and processes of its own."""
    words = ["nsenter", f"--net=/run/netns/{settings.namespace}"]
    words += ["unshare", "--mount", "--propagation", "slave"]
    words += ["--pid", "--fork", "--kill-child", "--mount-proc"]
    words += [sys.executable, "-m", "lab.drivers.nspawn.machine", str(folder)]
    return [*_scope(settings), *words] if is_version_2() else words


def _scope(settings: Settings) -> list[str]:
    """cgroup v2: systemd makes the group, and keeps everything in it from all other devices."""
    words = ["systemd-run", "--scope", "--quiet", "--collect", f"--unit={settings.namespace}"]
    words += ["--property=Delegate=yes", "--property=DevicePolicy=strict"]
    words += [f"--property=MemoryMax={settings.memory_mib}M"]
    words += [f"--property=DeviceAllow={_device(rule)}" for rule in DEVICES]
    return words


def _device(rule: str) -> str:
    """A v1 rule as systemd.resource-control(5) wants it."""
    kind, numbers, rights = rule.split()
    if numbers.endswith("*"):
        return f"char-pts {rights}"
    return f"/dev/{'char' if kind == 'c' else 'block'}/{numbers} {rights}"


def press_button(process: Background) -> None:
    """Ask the supervisor below `unshare`, which takes no signals itself, and wait for its end."""
    with suppress(psutil.Error):
        above = psutil.Process(process.pid)
        below = above.children()
        for child in below:
            child.send_signal(signal.SIGTERM)
        psutil.wait_procs([above], timeout=_OFF_SECONDS)
