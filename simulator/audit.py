"""The rules that no run may break, watched from outside; each break is a hard failure."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

MAX_KEPT = 200


@dataclass(frozen=True, slots=True)
class Promise:
    """What a policy promises of its machines, those that have `role`: how many are away at once.

    0 of `per_domain` or `max_domains`: no such limit. A machine that vanished without a slot counts
    once it has been silent for `silent_seconds`; before that nobody can know.
    """

    role: str
    most: int
    per_domain: int = 0
    max_domains: int = 0
    silent_seconds: float = 300.0

    def broken_by(self, away: Mapping[str, str]) -> str:
        """Which limit machines break that are away, name to failure domain; "" for none."""
        domains = Counter(away.values())
        if len(away) > self.most:
            return f"{len(away)} machines are away, {self.most} may be: {_names(away)}"
        if self.per_domain and domains and max(domains.values()) > self.per_domain:
            domain, number = domains.most_common(1)[0]
            return f"{number} machines of {domain} are away, {self.per_domain} may be"
        if self.max_domains and len(domains) > self.max_domains:
            return f"machines of {_names(domains)} are away, {self.max_domains} domains may be"
        return ""


def _names(names: Mapping[str, object]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(sorted(names)[:5]) + more


@dataclass(frozen=True, slots=True)
class _Gone:
    """A machine that vanished: its role, its failure domain, and when nobody heard it any more."""

    role: str
    domain: str
    since: float


@dataclass(slots=True)
class Audit:
    """What went wrong although no fault was asked for, and who is down under which slot.

    `promises` by policy: its slots are of the group of that name, or of `name.<domain>`.
    """

    violations: list[str] = field(default_factory=list)
    count: int = 0
    most_down_at_once: int = 0
    turns_taken: int = 0
    promises: dict[str, Promise] = field(default_factory=dict)
    most_down: Counter[str] = field(default_factory=Counter)
    clock: Callable[[], float] = time.monotonic
    _down: dict[str, list[str]] = field(default_factory=dict)
    _domains: dict[str, str] = field(default_factory=dict)
    _gone: dict[str, _Gone] = field(default_factory=dict)

    def violation(self, text: str) -> None:
        """Record one broken rule; beyond the first few hundred only the count grows."""
        self.count += 1
        if len(self.violations) < MAX_KEPT:
            self.violations.append(text)

    def goes_down(self, name: str, group: str, domain: str = "") -> None:
        """The machine stops its work under a slot of `group`; `default` has one slot."""
        down = self._down.setdefault(group, [])
        self._domains[name] = domain
        if name not in down:
            down.append(name)
            self.turns_taken += 1
        self.most_down_at_once = max(self.most_down_at_once, len(down))
        if group == "default" and len(down) > 1:
            self.violation(f"down at once with one slot: {', '.join(down)}")
        self._check_promise(name, group)

    def _check_promise(self, name: str, group: str) -> None:
        policy = group.partition(".")[0]
        promise = self.promises.get(policy)
        if promise is None:
            return
        away = self.away(policy)
        self.most_down[policy] = max(self.most_down[policy], len(away))
        broken = promise.broken_by(away)
        if broken:
            self.violation(f"{name} goes down under policy {policy}: {broken}")

    def away(self, policy: str) -> dict[str, str]:
        """Machines of the policy that are down by its leave or long silent, with their domains."""
        promise = self.promises[policy]
        earliest = self.clock() - promise.silent_seconds
        gone = {
            name: one.domain
            for name, one in self._gone.items()
            if one.role == promise.role and one.since < earliest
        }
        down = {
            name: self._domains[name]
            for group, names in self._down.items()
            if group.partition(".")[0] == policy
            for name in names
        }
        return gone | down

    def comes_back(self, name: str, group: str) -> None:
        """The machine works again and is about to give the slot back."""
        if name in self._down.get(group, []):
            self._down[group].remove(name)

    def vanishes(self, name: str, role: str, domain: str) -> None:
        """The machine is away for good, and nobody let it go."""
        self._gone[name] = _Gone(role, domain, self.clock())

    def down(self) -> list[str]:
        """Who is down now, over all groups."""
        return [name for names in self._down.values() for name in names]
