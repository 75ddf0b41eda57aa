"""Product, serial, CPU and memory."""

from __future__ import annotations

import re
from dataclasses import dataclass

from agent.facts.sources import Sources
from agent.facts.text import clean

_DMI = "sys/class/dmi/id"


@dataclass(frozen=True, slots=True)
class Hardware:
    """What the vendor says, and what the kernel counts. `memory_bytes`: what the kernel may use."""

    product: str = ""
    serial: str = ""
    cpu_count: int = 0
    memory_bytes: int = 0


def parse_cpuinfo(text: str) -> int:
    """The number of logical CPUs in /proc/cpuinfo."""
    return len(re.findall(r"^processor\s*:", text, re.MULTILINE))


def parse_meminfo(text: str) -> int:
    """MemTotal of /proc/meminfo, in bytes; 0 when it is not there."""
    found = re.search(r"^MemTotal:\s+(\d{1,15}) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def parse_product(vendor: str, name: str) -> str:
    """Vendor and product in one text, without saying the vendor twice."""
    vendor, name = clean(vendor, 64), clean(name, 128)
    if not name or name.lower().startswith(vendor.lower()):
        return name
    return f"{vendor} {name}"[:128].strip()


def read(sources: Sources) -> Hardware:
    """The facts of this machine."""
    vendor, name = (
        sources.hardware_file(f"{_DMI}/{key}") for key in ("sys_vendor", "product_name")
    )
    return Hardware(
        product=parse_product(vendor, name),
        serial=clean(sources.hardware_file(f"{_DMI}/product_serial"), 128),
        cpu_count=parse_cpuinfo(sources.hardware_file("proc/cpuinfo")),
        memory_bytes=parse_meminfo(sources.hardware_file("proc/meminfo")),
    )
