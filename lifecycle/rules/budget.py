"""How many machines may be away at once. Pure; `Budget` is the only thing that lets one go.

Every machine that may be taken down goes through `Budget.take`, which refuses whatever would break
a limit, so no order of calls can. The control plane has a rule of its own, above every policy: one
member at a time, and only while the others that are available make a quorum.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from lifecycle.rules.amounts import Amount


def quorum_of(size: int) -> int:
    """Members that a control plane of `size` needs: more than half (raft, as etcd uses it)."""
    return size // 2 + 1


@dataclass(frozen=True, slots=True)
class Limits:
    """A policy's limits. `per_domain` None and `max_domains` 0: no such limit."""

    max_unavailable: Amount
    per_domain: Amount | None = None
    max_domains: int = 0
    accepts_downtime: bool = False


@dataclass(frozen=True, slots=True)
class Member:
    """A machine of the policy; an empty `domain` means that nobody knows where it stands."""

    machine_id: int
    domain: str = ""
    is_control_plane: bool = False


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """The cluster's control plane, whatever policies its members belong to.

    `size` is how many members etcd counts; `available` those that serve now; `moving` those that
    the engine lets change now (opened, updating, or holding a slot).
    """

    size: int = 0
    available: frozenset[int] = frozenset()
    moving: frozenset[int] = frozenset()

    def refusal(self, machine_id: int, *, accepts_downtime: bool) -> str:
        """Why this member must not go away now; "" when it may."""
        if self.moving - {machine_id}:
            return "another member of the control plane is changing, and only one does at a time"
        if self.size == 1:
            if accepts_downtime:
                return ""
            return (
                "it is the whole control plane, and its policy does not accept its downtime "
                "(accepts_downtime)"
            )
        left, quorum = len(self.available - {machine_id}), quorum_of(self.size)
        if left < quorum:
            return (
                f"{left} of {self.size} members of the control plane would be left, and a quorum "
                f"needs {quorum}"
            )
        return ""


class _Limited:
    """What the limits say to one more machine, by numbers alone: whoever counts may ask.

    `total` machines in service are the policy's; per cent are counted of them, and those of a
    domain of `domain_sizes`. `in_domain` says how many of each domain are away.
    """

    __slots__ = ()
    limits: Limits
    total: int
    domain_sizes: Mapping[str, int]
    in_domain: Mapping[str, int]

    @property
    def most(self) -> int:
        """How many may be away at once."""
        return self.limits.max_unavailable.of(self.total)

    def _refuse(self, member: Member, number: int, *, is_counted: bool, exceeded: str) -> str:
        """Why `member` must not go while `number` are away, it among them if `is_counted`."""
        added = 0 if is_counted else 1
        if number + added > self.most:
            return (
                f"{number} of {self.total} machines are unavailable, and max_unavailable "
                f"{self.limits.max_unavailable} allows {self.most}"
            )
        if exceeded or self._room(member.domain) < added:
            return exceeded or self._say_full(member.domain)
        return self._refuse_by_domains(member, added)

    def _find_exceeded(self) -> str:
        """The first domain with more away than it may have. Then nobody goes, also not elsewhere:
        more is away than the policy allows."""
        if self.limits.per_domain is None:
            return ""
        full = (name for name in sorted(self.in_domain) if self._room(name) < 0)
        return next((self._say_full(name) for name in full), "")

    def _room(self, domain: str) -> int:
        """How many more of `domain` may go away; below 0 when there are too many already."""
        if self.limits.per_domain is None:
            return self.total + 1
        most = self.limits.per_domain.of(self.domain_sizes.get(domain, 1))
        return most - self.in_domain.get(domain, 0)

    def _say_full(self, domain: str) -> str:
        number = self.in_domain.get(domain, 0)
        return (
            f"{number} machines of {domain or 'no known domain'} are unavailable, "
            f"and max_unavailable_per_domain {self.limits.per_domain} allows "
            f"{number + self._room(domain)}"
        )

    def _refuse_by_domains(self, member: Member, added: int) -> str:
        """An unknown place may be any: each counts as a domain of its own, so that two machines of
        unknown places are never taken for one domain."""
        most = self.limits.max_domains
        if not most:
            return ""
        known = sorted(name for name in self.in_domain if name)
        unknown = self.in_domain.get("", 0)
        is_further = member.domain not in known if member.domain else added > 0
        if len(known) + unknown + is_further <= most:
            return ""
        shown = ", ".join([*known[:3], *([f"{unknown} unknown places"] if unknown else [])])
        return f"machines of {shown} are unavailable, and max_domains allows {most} at once"


@dataclass(frozen=True, slots=True)
class Tally(_Limited):
    """How many machines of one policy are away, as a database counts them: for one question.

    `in_domain` counts every machine that is away once; `control_plane` matters to its members only.
    """

    limits: Limits
    total: int
    domain_sizes: Mapping[str, int]
    in_domain: Mapping[str, int]
    control_plane: ControlPlane

    def refusal(self, member: Member, *, is_counted: bool) -> str:
        """Why `member`, who is among those that are away if `is_counted`, must not go; "" when it
        may. The same answer as that of a `Budget` with the same machines away."""
        number = sum(self.in_domain.values())
        exceeded = self._find_exceeded()
        refused = self._refuse(member, number, is_counted=is_counted, exceeded=exceeded)
        return refused or _refuse_in_plane(self.control_plane, member, self.limits)


@dataclass(slots=True)
class Budget(_Limited):
    """The machines of one policy that are away, and who else may go: for many questions.

    `away` are those that are away already, for whatever reason.
    """

    limits: Limits
    total: int
    domain_sizes: Mapping[str, int]
    away: dict[int, Member]
    control_plane: ControlPlane
    in_domain: Counter[str] = field(default_factory=Counter, init=False, repr=False)
    _exceeded: str = field(default="", init=False)

    def __post_init__(self) -> None:
        self.away = dict(self.away)
        self.in_domain.update(member.domain for member in self.away.values())
        # `take` lets no domain exceed its limit, so whether one does is known from the start.
        self._exceeded = self._find_exceeded()

    @property
    def is_full(self) -> bool:
        """True when no machine that is not away already can be let go."""
        return len(self.away) >= self.most

    def refusal(self, member: Member) -> str:
        """Why `member` must not go away now, given who is away; "" when it may."""
        is_counted = member.machine_id in self.away
        refused = self._refuse(
            member, len(self.away), is_counted=is_counted, exceeded=self._exceeded
        )
        return refused or _refuse_in_plane(self.control_plane, member, self.limits)

    def take(self, member: Member) -> str:
        """Let `member` go away; "" when it is counted now, else why it must not go."""
        refusal = self.refusal(member)
        if not refusal:
            self.keep(member)
        return refusal

    def keep(self, member: Member) -> None:
        """Count `member` among those that are away, whatever the limits say: nobody can call it
        back."""
        if member.machine_id not in self.away:
            self.away[member.machine_id] = member
            self.in_domain[member.domain] += 1
            if self._room(member.domain) < 0:
                self._exceeded = self._exceeded or self._say_full(member.domain)
        if member.is_control_plane:
            plane = self.control_plane
            moving = plane.moving | {member.machine_id}
            self.control_plane = ControlPlane(plane.size, plane.available, moving)


def _refuse_in_plane(plane: ControlPlane, member: Member, limits: Limits) -> str:
    if not member.is_control_plane:
        return ""
    return plane.refusal(member.machine_id, accepts_downtime=limits.accepts_downtime)


def admit(budget: Budget, members: Iterable[Member]) -> tuple[list[Member], dict[int, str]]:
    """Take `members` in their order as far as they fit: (those taken, why not by machine id).

    Once the number is used up nobody further is looked at.
    """
    taken: list[Member] = []
    refused: dict[int, str] = {}
    for member in members:
        why = budget.take(member)
        if not why:
            taken.append(member)
            continue
        refused[member.machine_id] = why
        if budget.is_full:
            break
    return taken, refused
