"""Which machine a query means: by any of its MACs. Reads only; see `lookup` for the answers."""

from __future__ import annotations

from dataclasses import dataclass

from enjoliver.common.rawquery import MachineQuery
from machines.models import Machine


@dataclass(frozen=True, slots=True)
class Match:
    """The machine behind a query; `agrees` is False when the query names another UUID."""

    machine: Machine
    agrees: bool


def match_query(query: MachineQuery) -> Match | None:
    """Find the machine that has the query's MAC on any interface, in one look-up.

    Of several machines with that MAC: the one with the query's UUID, then an installed one, then
    the one that reported last. None when no machine has it.
    """
    candidates = list(Machine.objects.filter(interfaces__mac=query.mac).defer("facts"))
    if not candidates:
        return None
    best = max(
        candidates,
        key=lambda machine: (
            machine.uuid == query.uuid,
            machine.installed_at is not None,
            machine.updated_at,
            machine.pk,
        ),
    )
    return Match(best, agrees=query.uuid in (None, best.uuid))
