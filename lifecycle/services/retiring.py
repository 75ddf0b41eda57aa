"""Taking a machine out of service for good."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from enjoliver.common.errors import Conflict, InvalidInput
from lifecycle.models import Slot
from lifecycle.services.maintenance import end_maintenance
from lifecycle.services.removed import unknown_when_removed
from lifecycle.services.slots import release_slot
from machines.models import Machine
from machines.services import request_reinstall
from scheduling import services as scheduling


def retire_machine(
    *, machine: Machine, actor: str, reason: str, now: datetime | None = None
) -> bool:
    """Take `machine` out of service; False when it was already.

    It loses its role and gets none any more, its slots are freed, its maintenance ends, and what
    is on its disk is not booted again. Raises InvalidInput without a reason, Conflict for a member
    of the control plane, which is replaced instead, and UnknownMachine for one that was forgotten.
    """
    now = now or timezone.now()
    if not reason.strip():
        raise InvalidInput("a reason is needed", fields={"reason": "required"})
    with unknown_when_removed(machine.pk), transaction.atomic():
        is_news = scheduling.retire_machine(machine=machine, actor=actor, reason=reason)
        for slot in Slot.objects.filter(machine=machine):
            text = f"its machine is retired: {reason}"
            with suppress(Conflict):  # its holder gave it back at this moment
                release_slot(slot=slot, actor=actor, reason=text, now=now)
        end_maintenance(machine=machine, actor=actor)
        machine.refresh_from_db(fields=["installed_at", "reinstall_requested_at"])
        if machine.installed_at is not None:
            text = "retired: it boots into discovery and waits there"
            request_reinstall(machine=machine, actor=actor, reason=text, is_forced=True, now=now)
    return is_news
