"""Policies, rollouts, freezes and slots as the API and the commands show them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import Count, Q

from enjoliver.common.times import rfc3339
from lifecycle.models import Freeze, RollingPolicy, Rollout, RolloutMachine, Slot
from lifecycle.rules.states import ROW_STATES
from lifecycle.services import policy_document

Document = dict[str, Any]


def counted_policies() -> Any:
    """Policies with their gates and the number of their machines, in two queries."""
    rows = RollingPolicy.objects.select_related("cluster").annotate(count_members=Count("members"))
    return rows.prefetch_related("health_gates").order_by("cluster_id", "-priority", "name")


def shown_policy(policy: Any) -> Document:
    """A policy, best out of `counted_policies`, with what is not part of its document."""
    number = getattr(policy, "count_members", None)
    return {
        **policy_document(policy),
        "machines": policy.members.count() if number is None else number,
        "updated_at": rfc3339(policy.updated_at),
        "updated_by": policy.updated_by,
    }


def counted_rollouts() -> Any:
    """Rollouts with the number of their machines in each state, in one query."""
    counts: dict[str, Any] = {
        f"count_{state}": Count("machines", filter=Q(machines__state=state)) for state in ROW_STATES
    }
    rows = Rollout.objects.select_related("cluster", "policy__cluster").annotate(**counts)
    return rows.order_by("-pk")


def shown_rollout(rollout: Any) -> Document:
    """A rollout out of `counted_rollouts`."""
    return {
        "id": rollout.pk,
        "policy": rollout.policy_name,
        "cluster": rollout.cluster.name,
        "revision": rollout.revision_number,
        "from_revision": rollout.from_number,
        "state": rollout.state,
        "reason": rollout.reason,
        "details": rollout.details,
        "hold": rollout.hold if rollout.is_active else "",
        "order": rollout.order,
        "stage": rollout.stage + 1,
        "stages": rollout.stages,
        "machines": {state: getattr(rollout, f"count_{state}") for state in ROW_STATES},
        "created_at": rfc3339(rollout.created_at),
        "created_by": rollout.created_by,
        "started_at": rfc3339(rollout.started_at),
        "changed_at": rfc3339(rollout.changed_at),
        "ended_at": rfc3339(rollout.ended_at),
    }


def shown_places(places: Iterable[RolloutMachine]) -> list[Document]:
    """Machines of a rollout; `places` with machine and assignment loaded."""
    return [
        {
            "machine": place.machine.uuid,
            "mac": place.machine.boot_mac,
            "fqdn": _name(place),
            "position": place.position + 1,
            "stage": place.stage + 1,
            "state": place.state,
            "reason": place.reason,
            "opened_at": rfc3339(place.opened_at),
            "updating_at": rfc3339(place.updating_at),
            "deadline_at": rfc3339(place.deadline_at),
            "finished_at": rfc3339(place.finished_at),
        }
        for place in places
    ]


def _name(place: RolloutMachine) -> str:
    assignment = getattr(place.machine, "assignment", None)
    return assignment.fqdn if assignment else ""


def shown_freeze(freeze: Freeze) -> Document:
    """A freeze; with cluster and policy loaded."""
    return {
        "id": freeze.pk,
        "scope": freeze.scope,
        "cluster": freeze.cluster.name if freeze.cluster else None,
        "policy": freeze.policy.name if freeze.policy else None,
        "reason": freeze.reason,
        "starts_at": rfc3339(freeze.starts_at),
        "ends_at": rfc3339(freeze.ends_at),
        "created_by": freeze.created_by,
        "lifted_at": rfc3339(freeze.lifted_at),
        "lifted_by": freeze.lifted_by,
    }


def shown_slot(slot: Slot) -> Document:
    """A held slot; with group and machine loaded."""
    return {
        "group": slot.group.name,
        "holder": slot.holder,
        "machine": slot.machine.uuid if slot.machine else None,
        "mac": slot.machine.boot_mac if slot.machine else None,
        "phase": slot.phase if slot.deadline_at else None,
        "acquired_at": rfc3339(slot.acquired_at),
        "last_seen_at": rfc3339(slot.last_seen_at),
        "deadline_at": rfc3339(slot.deadline_at),
        "lost_at": rfc3339(slot.lost_at),
    }
