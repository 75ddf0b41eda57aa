"""What an upper app says of the machines of a plan: what would be done to them, and when not."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Advice:
    """`action`: what would happen to the machine (`reboot under policy workers`); `blocked`: why
    not, or not yet; "" when nothing stands in the way."""

    action: str
    blocked: str = ""


Advisor = Callable[[Collection[int]], Mapping[int, Advice]]


def _says_nothing(machine_ids: Collection[int]) -> Mapping[int, Advice]:
    return {}


_advisor: Advisor = _says_nothing


def set_advisor(advisor: Advisor | None) -> None:
    """Register who knows what a new config means for machines, by id (an upper app's ready()).

    It is asked when a plan is shown, so it says what is true then; None: nobody.
    """
    global _advisor
    _advisor = advisor or _says_nothing


def advise(machine_ids: Collection[int]) -> Mapping[int, Advice]:
    """What is said of these machines; those of whom nothing is said are left out."""
    return _advisor(machine_ids) if machine_ids else {}


def advised(document: Mapping[str, Any]) -> dict[str, Any]:
    """A plan's document with `action` and `blocked` at each machine whose document would change."""
    advice = advise([m["id"] for m in document["machines"] if m["is_document_changed"]])
    machines = []
    for machine in document["machines"]:
        said = advice.get(machine["id"], Advice(""))
        machines.append({**machine, "action": said.action, "blocked": said.blocked})
    return {**document, "machines": machines}
