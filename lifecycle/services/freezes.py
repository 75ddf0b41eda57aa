"""Freezes: nothing moves while one is in force."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from enjoliver.common.errors import InvalidInput
from lifecycle.models import Freeze, RollingPolicy
from machines.services import record_event
from scheduling.models import Cluster


def freezes_in_force(now: datetime) -> QuerySet[Freeze]:
    """The freezes that stop something at `now`. One that was set stays set when the clock steps
    back."""
    return Freeze.objects.filter(Q(ends_at=None) | Q(ends_at__gt=now), lifted_at=None)


def freeze_reason(*, cluster_id: int | None, policy_id: int | None, now: datetime) -> str:
    """Why nothing moves in this cluster under this policy, by a freeze; "" without one.

    Without both only a global freeze counts. One query.
    """
    concerned = Q(cluster=None, policy=None)
    if cluster_id is not None:
        concerned |= Q(cluster_id=cluster_id)
    if policy_id is not None:
        concerned |= Q(policy_id=policy_id)
    rows = freezes_in_force(now).filter(concerned).select_related("cluster", "policy")
    freeze = rows.order_by("pk").first()
    if freeze is None:
        return ""
    until = f" until {freeze.ends_at:%Y-%m-%d %H:%M} UTC" if freeze.ends_at else ""
    return f"a freeze of {freeze.scope} by {freeze.created_by}{until}: {freeze.reason}"


def add_freeze(
    *,
    reason: str,
    actor: str,
    cluster: Cluster | None = None,
    policy: RollingPolicy | None = None,
    ends_at: datetime | None = None,
    now: datetime | None = None,
) -> Freeze:
    """Stop everything that moves: everywhere, in `cluster`, or under `policy`.

    Raises InvalidInput without a reason, or for an end that has passed.
    """
    now = now or timezone.now()
    if not reason.strip():
        raise InvalidInput("a reason is needed", fields={"reason": "required"})
    if ends_at is not None and ends_at <= now:
        raise InvalidInput("this time has passed", fields={"ends_at": "a time to come"})
    with transaction.atomic():
        freeze = Freeze.objects.create(
            cluster=cluster if policy is None else None,
            policy=policy,
            reason=reason.strip()[:200],
            starts_at=now,
            ends_at=ends_at,
            created_by=actor[:150],
        )
        record_event(
            kind="freeze_on",
            level="warning",
            message=f"Freeze of {freeze.scope}: {freeze.reason}",
            actor=actor,
        )
    return freeze


def lift_freeze(*, freeze: Freeze, actor: str, now: datetime | None = None) -> bool:
    """End a freeze; False when it had been lifted already."""
    now = now or timezone.now()
    with transaction.atomic():
        rows = Freeze.objects.filter(pk=freeze.pk, lifted_at__isnull=True)
        if not rows.update(lifted_at=now, lifted_by=actor[:150]):
            return False
        record_event(kind="freeze_off", message=f"Freeze of {freeze.scope} is lifted.", actor=actor)
    return True
