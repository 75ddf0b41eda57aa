"""Which Kubernetes nodes a policy's health gates may expect to be Ready."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from django.conf import settings

from lifecycle.health import ExpectedNode
from lifecycle.maintained import maintenance_machine_ids
from lifecycle.models import RolloutMachine, Slot
from lifecycle.rules.states import ACTIVE_STATES, OPEN, UPDATING
from lifecycle.services.away import in_service


def expected_nodes(policy_id: int, now: datetime) -> tuple[ExpectedNode, ...]:
    """The policy's machines in service that have no reason to be away, with their nodes' names.

    Left out: who updates, holds a slot, is in maintenance or is being installed again; the policy's
    budget counts them already. A node is called as the machine's full name, or its first label
    where no other machine of the policy has the same.
    """
    away = _away(policy_id) | maintenance_machine_ids(now=now)
    members = in_service(policy_id).filter(machine__reinstall_requested_at__isnull=True)
    rows = members.order_by("machine__assignment__fqdn").values_list(
        "pk", "machine__assignment__fqdn"
    )
    names = {pk: fqdn.lower() for pk, fqdn in rows if fqdn}
    short = Counter(name.partition(".")[0] for name in names.values())
    return tuple(
        ExpectedNode(name, _names(name, short)) for pk, name in names.items() if pk not in away
    )


def _names(name: str, short: Counter[str]) -> tuple[str, ...]:
    label = name.partition(".")[0]
    return (name, label) if short[label] == 1 and label != name else (name,)


def _away(policy_id: int) -> set[int]:
    # Another FleetLock server does not tell who took a slot: open ones may be away then.
    states = (UPDATING, OPEN) if settings.FLEETLOCK_URL else (UPDATING,)
    places = RolloutMachine.objects.filter(
        rollout__policy_id=policy_id, rollout__state__in=ACTIVE_STATES, state__in=states
    )
    slots = Slot.objects.filter(machine__isnull=False)
    found = {*places.order_by().values_list("machine_id", flat=True)}
    return found | {pk for pk in slots.order_by().values_list("machine_id", flat=True) if pk}
