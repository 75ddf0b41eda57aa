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

    @property
    def lone_domain(self) -> str:
        """Its failure domain, where an unknown one may be any: each is counted as one of its own,
        so that two machines of unknown places are never taken for one domain."""
        return self.domain or f"?{self.machine_id}"


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


@dataclass(slots=True)
class Budget:
    """The machines of one policy that are away, and who else may go.

    `total` machines in service are the policy's; per cent are counted of them, and those of a
    domain of `domain_sizes`. `away` are those that are away already, for whatever reason.
    """

    limits: Limits
    total: int
    domain_sizes: Mapping[str, int]
    away: dict[int, Member]
    control_plane: ControlPlane
    _in_domain: Counter[str] = field(default_factory=Counter, repr=False)
    _domains: Counter[str] = field(default_factory=Counter, repr=False)
    _exceeded: str = ""

    def __post_init__(self) -> None:
        self.away = dict(self.away)
        for member in self.away.values():
            self._count(member)
        # `take` lets no domain exceed its limit, so whether one does is known from the start. Then
        # nobody goes, also not elsewhere: more is away than the policy allows.
        self._exceeded = next(
            (self._say_full(domain) for domain in self._in_domain if self._room(domain) < 0), ""
        )

    def _count(self, member: Member) -> None:
        self._in_domain[member.domain] += 1
        self._domains[member.lone_domain] += 1

    @property
    def most(self) -> int:
        """How many may be away at once."""
        return self.limits.max_unavailable.of(self.total)

    @property
    def is_full(self) -> bool:
        """True when no machine that is not away already can be let go."""
        return len(self.away) >= self.most

    def refusal(self, member: Member) -> str:
        """Why `member` must not go away now, given who is away; "" when it may."""
        return (
            self._refuse_by_number(member)
            or self._refuse_by_domain(member)
            or self._refuse_by_domains(member)
            or self._refuse_by_control_plane(member)
        )

    def take(self, member: Member) -> str:
        """Let `member` go away; "" when it is counted now, else why it must not go."""
        refusal = self.refusal(member)
        if refusal:
            return refusal
        if member.machine_id not in self.away:
            self.away[member.machine_id] = member
            self._count(member)
        if member.is_control_plane:
            plane = self.control_plane
            moving = plane.moving | {member.machine_id}
            self.control_plane = ControlPlane(plane.size, plane.available, moving)
        return ""

    def _added(self, member: Member) -> int:
        return 0 if member.machine_id in self.away else 1

    def _refuse_by_number(self, member: Member) -> str:
        if len(self.away) + self._added(member) <= self.most:
            return ""
        return (
            f"{len(self.away)} of {self.total} machines are unavailable, and max_unavailable "
            f"{self.limits.max_unavailable} allows {self.most}"
        )

    def _refuse_by_domain(self, member: Member) -> str:
        if self._exceeded or self._room(member.domain) < self._added(member):
            return self._exceeded or self._say_full(member.domain)
        return ""

    def _room(self, domain: str) -> int:
        """How many more of `domain` may go away; below 0 when there are too many already."""
        if self.limits.per_domain is None:
            return self.total + 1
        return self.limits.per_domain.of(self.domain_sizes.get(domain, 1)) - self._in_domain[domain]

    def _say_full(self, domain: str) -> str:
        return (
            f"{self._in_domain[domain]} machines of {domain or 'no known domain'} are unavailable, "
            f"and max_unavailable_per_domain {self.limits.per_domain} allows "
            f"{self._in_domain[domain] + self._room(domain)}"
        )

    def _refuse_by_domains(self, member: Member) -> str:
        most = self.limits.max_domains
        if not most or len({*self._domains, member.lone_domain}) <= most:
            return ""
        known = sorted(name for name in self._domains if not name.startswith("?"))
        unknown = len(self._domains) - len(known)
        shown = ", ".join([*known[:3], *([f"{unknown} unknown places"] if unknown else [])])
        return f"machines of {shown} are unavailable, and max_domains allows {most} at once"

    def _refuse_by_control_plane(self, member: Member) -> str:
        if not member.is_control_plane:
            return ""
        return self.control_plane.refusal(
            member.machine_id, accepts_downtime=self.limits.accepts_downtime
        )


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
