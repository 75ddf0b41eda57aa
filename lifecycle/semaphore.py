"""The FleetLock semaphore: who holds a slot of a group, and the two moves. Pure.

Rules: https://coreos.github.io/zincati/development/fleetlock/protocol/ (overview: recursive
locking with ownership). Both moves may be repeated by a client in any order and number.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


class SemaphoreFull(Exception):
    """All slots are held by others."""


@dataclass(frozen=True, slots=True)
class Semaphore:
    """`slots` places and their present holders, by opaque and case-sensitive id.

    There may be more holders than slots after an operator lowered the number: nobody is thrown
    out, and nobody new comes in.
    """

    slots: int
    holders: frozenset[str] = frozenset()

    def recursive_lock(self, holder: str) -> Semaphore:
        """The semaphore with `holder` in it; itself if it was already; raises SemaphoreFull."""
        if holder in self.holders:
            return self
        if len(self.holders) >= self.slots:
            raise SemaphoreFull
        return replace(self, holders=self.holders | {holder})

    def unlock_if_held(self, holder: str) -> Semaphore:
        """The semaphore without `holder`; itself when it held nothing, which is no error."""
        if holder not in self.holders:
            return self
        return replace(self, holders=self.holders - {holder})
