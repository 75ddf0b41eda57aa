"""Which disk the machine is installed on: a rule, and what makes a disk untouchable. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.config import BadSetting, Config
from agent.facts.disks import Disk

GIB = 1 << 30
DEFAULT_MIN_BYTES = 9 * GIB  # a Flatcar image takes 8.5 GiB
MAX_BYTES = 1 << 62


class NoDisk(Exception):
    """No disk may be written to; the text says why, disk by disk."""


@dataclass(frozen=True, slots=True)
class Wish:
    """Which disks come into question, and which of them goes first."""

    path: str = ""
    serial: str = ""
    model: str = ""
    min_bytes: int = DEFAULT_MIN_BYTES
    max_bytes: int = MAX_BYTES
    order: str = "smallest"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A disk, and what was found on it.

    `content`: all data, in words. `is_own`: it carries an install of this machine and nothing else.
    """

    disk: Disk
    content: tuple[str, ...] = ()
    is_own: bool = False


def read_wish(config: Config) -> Wish:
    """The rule of the settings; raises BadSetting."""
    order = config.text("AGENT_DISK_ORDER", "smallest")
    if order not in ("smallest", "first"):
        raise BadSetting(f"ENJOLIVER_AGENT_DISK_ORDER is {order[:40]!r}; smallest or first")
    low, high = DEFAULT_MIN_BYTES, MAX_BYTES
    return Wish(
        path=config.text("AGENT_DISK_PATH"),
        serial=config.text("AGENT_DISK_SERIAL"),
        model=config.text("AGENT_DISK_MODEL"),
        min_bytes=int(config.number("AGENT_DISK_MIN_BYTES", low, low=0, high=high)),
        max_bytes=int(config.number("AGENT_DISK_MAX_BYTES", high, low=0, high=high)),
        order=order,
    )


def choose(candidates: Sequence[Candidate], wish: Wish) -> Candidate:
    """The disk to install on; raises NoDisk.

    A disk with an install of this machine goes first: what was begun there is made again there.
    """
    judged = [(one, refusal(one, wish)) for one in candidates]
    good = [one for one, why in judged if not why]
    if not good:
        words = "; ".join(f"{one.disk.path}: {why}" for one, why in judged)
        raise NoDisk(f"no disk to install on ({words or 'the machine has no disk'})")
    size = wish.order == "smallest"
    return min(
        good,
        key=lambda one: (not one.is_own, one.disk.size_bytes if size else 0, one.disk.path),
    )


def refusal(candidate: Candidate, wish: Wish) -> str:
    """Why this disk is not written to; "" when it may be."""
    disk = candidate.disk
    if disk.mounts:
        return f"it is in use at {disk.mounts[0]}"
    if disk.is_removable:
        return "it is removable"
    if disk.is_read_only:
        return "it is read-only"
    if candidate.content and not candidate.is_own:
        return f"it carries data: {', '.join(candidate.content[:3])}"
    return _unwished(disk, wish)


def _unwished(disk: Disk, wish: Wish) -> str:
    if wish.path and disk.path != wish.path:
        return f"not {wish.path}"
    if wish.serial and disk.serial != wish.serial:
        return f"its serial is not {wish.serial}"
    if wish.model and wish.model.lower() not in disk.model.lower():
        return f"its model is not {wish.model}"
    if disk.size_bytes < wish.min_bytes:
        return f"smaller than {wish.min_bytes} bytes"
    return f"larger than {wish.max_bytes} bytes" if disk.size_bytes > wish.max_bytes else ""
