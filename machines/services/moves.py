"""Moves of a machine from state to state."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from machines.models import Machine, StateChange
from machines.states import State, can_move
from machines.text import one_line


def transition_machine(
    *, machine: Machine, to: State, reason: str = "", by: str = "machine"
) -> bool:
    """Move `machine` to the state `to` by compare-and-swap, with one history row.

    True when it is in that state now (staying there writes nothing). False when the table does
    not allow the move, or somebody else moved the machine first: `machine` then carries the
    state that won.
    """
    start = State(machine.state)
    if start == to:
        return True
    if not can_move(start, to):
        return False
    now = timezone.now()
    with transaction.atomic():
        is_moved = bool(
            Machine.objects.filter(pk=machine.pk, state=start).update(state=to, state_at=now)
        )
        if is_moved:
            StateChange.objects.create(
                machine=machine,
                from_state=start,
                to_state=to,
                reason=one_line(reason, 200),
                by=one_line(by, 150),
                at=now,
            )
    if is_moved:
        machine.state, machine.state_at = to, now
    else:
        machine.refresh_from_db(fields=["state", "state_at"])
    return is_moved
