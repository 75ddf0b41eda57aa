"""How big a machine's disks are, in one word of the cluster's ladder. Pure."""

from __future__ import annotations

from collections.abc import Sequence

IN_MEMORY = "inMemory"
"""The word for a machine without disks."""


def disk_profile(total_bytes: int, ladder: Sequence[tuple[str, int]]) -> str:
    """The name of the first step of `ladder` (name, GiB; rising) that the disks do not fill.

    Limits are exclusive (10 GiB is not below `S=10`), parts of a GiB do not count, and above the
    top step it is still the top step's name. Without disks: `inMemory`.
    """
    if total_bytes <= 0:
        return IN_MEMORY
    gib = total_bytes >> 30
    return next((name for name, limit in ladder if gib < limit), ladder[-1][0])
