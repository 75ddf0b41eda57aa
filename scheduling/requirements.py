"""What a role asks of a machine, and what a machine lacks for it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

GIB = 2**30
MAX_SPARES = 100


@dataclass(frozen=True, slots=True)
class Hardware:
    """What a role looks at: labels, the largest disk, memory and processors (None: unknown)."""

    labels: Mapping[str, str] = field(default_factory=dict)
    disk_bytes: int | None = None
    memory_bytes: int | None = None
    cpu_count: int | None = None


@dataclass(frozen=True, slots=True)
class Requirements:
    """What one role asks for; the empty ones suit every machine.

    `count` bounds the number of machines (None: no bound), `spares` are kept free for it.
    """

    selector: Mapping[str, str] = field(default_factory=dict)
    min_disk_bytes: int = 0
    min_memory_bytes: int = 0
    min_cpu_count: int = 0
    count: int | None = None
    spares: int = 0

    @property
    def looks_at_hardware(self) -> bool:
        """True when machines must be judged one by one."""
        return bool(
            self.selector or self.min_disk_bytes or self.min_memory_bytes or self.min_cpu_count
        )


ANYTHING = Requirements()


def find_lack(wanted: Requirements, machine: Hardware, role: str) -> str:
    """What `machine` lacks for `role`, in words; "" when it suits."""
    for name, value in sorted(wanted.selector.items()):
        held = machine.labels.get(name)
        if held != value:
            has = f"has {name}={held}" if held is not None else f"has no label {name}"
            return f"{has}, {role} asks for {name}={value}"
    sizes = (
        ("its largest disk", machine.disk_bytes, wanted.min_disk_bytes),
        ("its memory", machine.memory_bytes, wanted.min_memory_bytes),
    )
    for what, size, least in sizes:
        if least and (size or 0) < least:
            return f"{what} is {_size(size)}, {role} asks for {_size(least)}"
    if (machine.cpu_count or 0) < wanted.min_cpu_count:
        has = f"{machine.cpu_count} processors" if machine.cpu_count else "unknown processors"
        return f"has {has}, {role} asks for {wanted.min_cpu_count}"
    return ""


def _size(size: int | None) -> str:
    return "unknown" if size is None else f"{size / GIB:.4g} GiB"
