"""Leave under a policy: whether one machine may change now, by which strategy, with which slot."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lifecycle.maintained import maintenance_machine_ids
from lifecycle.models import MachineStrategy, PolicyMember, RollingPolicy, RolloutMachine, Slot
from lifecycle.rules.states import (
    ACTIVE_STATES,
    DONE,
    FAILED,
    NO_STRATEGY,
    OPEN,
    PAUSED,
    READY,
    SKIPPED,
    UPDATING,
    WAITING,
)
from lifecycle.services.counting import budget_refusal
from lifecycle.services.holds import gates_reason, hold_reason
from lifecycle.services.membership import group_name
from machines.models import Machine

BLOCKED = "blocked by an operator: the strategy of this machine is disabled"


@dataclass(frozen=True, slots=True)
class PolicyLeave:
    """`strategy` while the machine may change now, else the `refusal`; `group` is where it takes
    its slot, `place` its place in the active rollout (None without one)."""

    strategy: str
    group: str
    refusal: str = ""
    place: RolloutMachine | None = None


def read_policy_leave(
    *,
    machine: Machine,
    policy: RollingPolicy,
    own: MachineStrategy | None,
    now: datetime,
) -> PolicyLeave:
    """What `machine`, which belongs to `policy`, may do now.

    A machine whose turn it is not costs two queries; one that is open seven, which count in the
    database who is away (`lifecycle.services.counting`).
    """
    strategy = own.strategy if own and own.is_enabled else policy.strategy
    member = PolicyMember.objects.filter(pk=machine.pk, policy=policy).first()
    group = group_name(policy, member.domain if member else "")
    place = active_place(machine, policy)
    if own and not own.is_enabled:
        refusal = BLOCKED
    elif strategy == NO_STRATEGY:
        refusal = f"policy {policy} restarts nothing: the config applies at the next start"
    elif place is None:
        refusal = f"no rollout of policy {policy} is under way for it"
    elif member is None:
        refusal = f"it has just come to policy {policy}, which does not count it yet"
    else:
        refusal = _refuse(machine, policy, member, place, now)
    return PolicyLeave(strategy, group, refusal, place)


def active_place(machine: Machine, policy: RollingPolicy) -> RolloutMachine | None:
    """The machine's place in the policy's active rollout."""
    places = RolloutMachine.objects.filter(
        machine=machine, rollout__policy=policy, rollout__state__in=ACTIVE_STATES
    )
    return places.select_related("rollout").first()


def _refuse(
    machine: Machine,
    policy: RollingPolicy,
    member: PolicyMember,
    place: RolloutMachine,
    now: datetime,
) -> str:
    return (
        _refuse_by_place(machine, place)
        or hold_reason(policy, now)
        or gates_reason(policy.pk, now)
        or _refuse_in_maintenance(machine, now)
        # It counts among the unavailable already, as everybody who was let go.
        or budget_refusal(policy, member, now)
    )


_BY_STATE = {
    WAITING: "it is not its turn yet",
    DONE: "it is done",
    SKIPPED: "it was left out",
    FAILED: "it failed",
}


def _refuse_by_place(machine: Machine, place: RolloutMachine) -> str:
    rollout = place.rollout
    which = f"in rollout {rollout.pk}"
    if rollout.state == READY:
        return f"rollout {rollout.pk} waits for an operator to start it"
    if rollout.state == PAUSED:
        return f"rollout {rollout.pk} is paused: {rollout.reason}"
    if place.state in _BY_STATE:
        return f"{_BY_STATE[place.state]} {which}" + (f": {place.reason}" if place.reason else "")
    if place.state == UPDATING and not Slot.objects.filter(machine=machine).exists():
        return f"it gave its slot back, and its next report decides {which}"
    return "" if place.state in (OPEN, UPDATING) else f"it is {place.state} {which}"


def _refuse_in_maintenance(machine: Machine, now: datetime) -> str:
    return "it is in maintenance" if maintenance_machine_ids([machine.pk], now) else ""
