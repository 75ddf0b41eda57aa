"""What every stage gets: folders, sizes, databases."""

from __future__ import annotations

from dataclasses import dataclass

from bench.places import Workshop
from bench.sizes import Sizes


@dataclass(frozen=True, slots=True)
class Context:
    """One run of the bench."""

    workshop: Workshop
    sizes: Sizes
    databases: tuple[str, ...]
