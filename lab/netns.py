"""Network namespaces and links: made, looked at, removed. All of it through `ip`, as root."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from lab.errors import LabFailed
from lab.programs import end, run, run_json

_FOLDER = Path("/run/netns")


def namespaces() -> set[str]:
    """The names of all namespaces that can be entered."""
    return {path.name for path in _FOLDER.glob("*") if is_namespace(path.name)}


def is_namespace(name: str) -> bool:
    """Whether the name leads to a namespace; a killed `ip netns add` leaves an empty file."""
    try:
        # Namespaces are files of one small file system of the kernel's.
        return (_FOLDER / name).stat().st_dev == Path("/proc/self/ns/net").stat().st_dev
    except OSError:
        return False


def add_namespace(name: str) -> None:
    """Make it, with its loopback up; nothing when it is there."""
    if not is_namespace(name):
        (_FOLDER / name).unlink(missing_ok=True)
        run(["ip", "netns", "add", name])
    run(["ip", "-n", name, "link", "set", "lo", "up"])


def remove_namespace(name: str) -> None:
    """End everything that runs in it, and remove it with its links; nothing when it is gone."""
    if is_namespace(name):
        end(processes_in(name), 5.0)
        run(["ip", "netns", "delete", name])
    (_FOLDER / name).unlink(missing_ok=True)


def processes_in(name: str) -> list[psutil.Process]:
    """The processes whose network is this namespace."""
    found = []
    for pid in run(["ip", "netns", "pids", name]).split():
        try:
            found.append(psutil.Process(int(pid)))
        except psutil.NoSuchProcess:
            continue
    return found


def inside(name: str, command: Sequence[str]) -> list[str]:
    """The command line that runs `command` in the namespace."""
    return ["ip", "netns", "exec", name, *command]


def links(namespace: str = "") -> dict[str, dict[str, Any]]:
    """The links of a namespace (of this one, if empty) by name, as `ip -json` tells them."""
    where = ["-n", namespace] if namespace else []
    rows = run_json(["ip", "-json", "-details", *where, "link", "show"])
    return {row["ifname"]: row for row in rows}


def ip(namespace: str, *words: str) -> None:
    """One `ip` command in a namespace (in this one, if empty)."""
    run(["ip", *(["-n", namespace] if namespace else []), *words])


def set_kernel_value(namespace: str, key: str, value: str) -> None:
    """Write `net/ipv4/…` below /proc/sys as that namespace sees it; nothing if it says so."""
    path = f"/proc/sys/{key}"
    if run(_seen_from(namespace, ["cat", path])).strip() == value:
        return
    try:
        run(_seen_from(namespace, ["tee", path]), text=value)
    except LabFailed as error:
        raise LabFailed(f"{path} must be {value} for the lab's network: {error}") from error


def _seen_from(namespace: str, command: list[str]) -> list[str]:
    return inside(namespace, command) if namespace else command


def is_root() -> bool:
    """Whether this process may make namespaces at all."""
    return os.geteuid() == 0
