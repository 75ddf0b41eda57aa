"""Policies, rollouts and freezes by the names that operators use."""

from __future__ import annotations

from enjoliver.common.errors import NotFound
from lifecycle.models import Freeze, RollingPolicy, Rollout
from lifecycle.rules.states import ACTIVE_STATES

_MOST = 2**63 - 1


def find_policy(name: str) -> RollingPolicy:
    """The policy of this name; raises NotFound."""
    found = None if "\0" in name else RollingPolicy.objects.filter(name=name)
    policy = found.select_related("cluster").first() if found is not None else None
    if policy is None:
        raise NotFound(f"there is no policy {name[:64]!r}")
    return policy


def find_rollout(name: str) -> Rollout:
    """The rollout with this number, else the active one, else the newest, of the policy of this
    name; raises NotFound."""
    rollouts = Rollout.objects.select_related("policy__cluster", "cluster", "revision")
    number = _number(name)
    if number is not None:
        found = rollouts.filter(pk=number).first()
    elif "\0" in name:
        found = None
    else:
        mine = rollouts.filter(policy_name=name)
        found = mine.filter(state__in=ACTIVE_STATES).first() or mine.first()
    if found is None:
        raise NotFound(f"there is no rollout {name[:64]!r}: a number, or the name of a policy")
    return found


def find_freeze(name: str) -> Freeze:
    """The freeze with this number; raises NotFound."""
    number = _number(name)
    rows = Freeze.objects.select_related("cluster", "policy")
    freeze = rows.filter(pk=number).first() if number is not None else None
    if freeze is None:
        raise NotFound(f"there is no freeze {name[:32]!r}")
    return freeze


def _number(text: str) -> int | None:
    if not text.isascii() or not text.isdecimal() or len(text) > 19:
        return None
    return int(text) if int(text) <= _MOST else None
