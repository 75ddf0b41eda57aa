"""The rules that no run may break, watched from outside; each break is a hard failure."""

from __future__ import annotations

from dataclasses import dataclass, field

MAX_KEPT = 200


@dataclass(slots=True)
class Audit:
    """What went wrong although no fault was asked for, and who is down under which slot."""

    violations: list[str] = field(default_factory=list)
    count: int = 0
    most_down_at_once: int = 0
    turns_taken: int = 0
    _down: dict[str, list[str]] = field(default_factory=dict)

    def violation(self, text: str) -> None:
        """Record one broken rule; beyond the first few hundred only the count grows."""
        self.count += 1
        if len(self.violations) < MAX_KEPT:
            self.violations.append(text)

    def goes_down(self, name: str, group: str) -> None:
        """The machine stops its work under a slot of `group`; `default` has one slot."""
        down = self._down.setdefault(group, [])
        if name not in down:
            down.append(name)
            self.turns_taken += 1
        self.most_down_at_once = max(self.most_down_at_once, len(down))
        if group == "default" and len(down) > 1:
            self.violation(f"down at once with one slot: {', '.join(down)}")

    def comes_back(self, name: str, group: str) -> None:
        """The machine works again and is about to give the slot back."""
        if name in self._down.get(group, []):
            self._down[group].remove(name)

    def down(self) -> list[str]:
        """Who is down now, over all groups."""
        return [name for names in self._down.values() for name in names]
