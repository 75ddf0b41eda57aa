"""Which machines a policy is for, and which one policy a machine belongs to. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from enjoliver.common.addresses import normalise_mac, normalise_uuid

SELECTOR_KEYS = ("roles", "labels", "machines")


@dataclass(frozen=True, slots=True)
class Subject:
    """What a selector looks at: one machine of the policy's cluster.

    `names` are its UUID and its boot MAC, in the spelling that the engine keeps.
    """

    machine_id: int
    names: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Selector:
    """Roles (or profiles), labels and machines; each that is named must match. Empty: everybody."""

    roles: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=dict)
    machines: frozenset[str] = frozenset()

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Selector:
        """A selector as it is stored, whose parts `lifecycle.rules.validate` has checked."""
        return cls(
            roles=frozenset(document.get("roles", ())),
            labels=dict(document.get("labels", {})),
            machines=frozenset(normalise_name(name) for name in document.get("machines", ())),
        )

    def selects(self, subject: Subject) -> bool:
        """True when the machine has one of the roles, all of the labels and one of the names."""
        if self.roles and not self.roles & subject.roles:
            return False
        if self.machines and not self.machines & subject.names:
            return False
        return all(subject.labels.get(name) == value for name, value in self.labels.items())


def normalise_name(text: str) -> str:
    """A machine's UUID or MAC in the one spelling that is stored; other text as it is."""
    for normalise in (normalise_uuid, normalise_mac):
        try:
            return normalise(text)
        except ValueError:
            continue
    return text


class Ranked(Protocol):
    """What decides between two policies that select the same machine."""

    @property
    def rank(self) -> tuple[int, str]:
        """(minus priority, name): the smallest wins."""

    @property
    def parsed_selector(self) -> Selector:
        """Whom it is for."""


P = TypeVar("P", bound=Ranked)


def choose_policy(policies: Iterable[P], subject: Subject) -> P | None:
    """The one policy that `subject` belongs to: of those that select it the highest priority,
    then the first name; None when nobody selects it. `policies` are enabled, of its cluster."""
    matching = (policy for policy in policies if policy.parsed_selector.selects(subject))
    return min(matching, key=lambda policy: policy.rank, default=None)
