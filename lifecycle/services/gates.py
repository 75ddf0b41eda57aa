"""Health gates as rollouts read them: the stored results of checks, never a check itself.

These gates are about what is outside the engine; the install gate is `lifecycle.services.gate`.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.db.models import Max

from lifecycle.models import HealthGate, HealthGateState, RollingPolicy, Rollout, RolloutMachine
from lifecycle.rules.health import GateVerdict, Health, verdict_of
from lifecycle.rules.states import ACTIVE_STATES, DONE

__all__ = ["GateVerdict", "health_of", "last_done", "read_gates", "watched_policies"]


def read_gates(policy_ids: Collection[int], now: datetime) -> dict[int, list[GateVerdict]]:
    """The verdicts of the enabled health gates of each policy; a policy without any has an empty
    list. One query, and a second one where there are gates."""
    found: dict[int, list[GateVerdict]] = {policy_id: [] for policy_id in policy_ids}
    gates = HealthGate.objects.filter(policy_id__in=policy_ids, is_enabled=True)
    rows = list(gates.select_related("result").order_by("policy_id", "name"))
    done = last_done({gate.policy_id for gate in rows}) if rows else {}
    for gate in rows:
        verdict = verdict_of(gate.name, health_of(gate), gate.pace, now, done.get(gate.policy_id))
        found[gate.policy_id].append(verdict)
    return found


def health_of(gate: HealthGate) -> Health:
    """What the checks of a gate found so far; costs a query where `result` is not loaded."""
    try:
        return gate.result.health
    except HealthGateState.DoesNotExist:
        return Health()


def last_done(policy_ids: Collection[int]) -> dict[int, datetime]:
    """When, in its active rollout, the last machine of each policy that had to go away was done."""
    places = RolloutMachine.objects.filter(
        rollout__policy_id__in=policy_ids,
        rollout__state__in=ACTIVE_STATES,
        state=DONE,
        updating_at__isnull=False,
    )
    found = places.order_by().values_list("rollout__policy_id").annotate(last=Max("finished_at"))
    return {policy_id: last for policy_id, last in found if policy_id is not None and last}


def watched_policies() -> dict[int, str]:
    """The enabled policies with an active rollout, by id with their names: whose gates are
    checked."""
    active = Rollout.objects.filter(state__in=ACTIVE_STATES).order_by().values("policy_id")
    policies = RollingPolicy.objects.filter(pk__in=active, is_enabled=True)
    return dict(policies.values_list("pk", "name"))
