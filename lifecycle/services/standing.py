"""How a machine stands at the install gate: may it enter, else at which door and place it waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from lifecycle.models import InstallAttempt, InstallGate, InstallOutcome, InstallWaiter
from lifecycle.queueing import (
    COUNTED_PLACES,
    SCOPES,
    WALKED_PLACES,
    Door,
    GateLimits,
    Keys,
    Limits,
    Places,
)
from lifecycle.services.limits import read_limits
from machines.locations import locations_of
from machines.models import Machine
from machines.topology import UNKNOWN, Level

ASSET_SERVER_LABEL = "asset-server"


@dataclass(frozen=True, slots=True)
class Holder:
    """An open grant."""

    attempt_pk: int
    machine_id: int
    raw_query: str
    keys: Keys


@dataclass(frozen=True, slots=True)
class Standing:
    """Without `door` the machine may enter. Else it waits there, at `place` (1 is next), behind
    `locked_by`: a holder's raw query, or the limit that lets nobody in."""

    door: Door | None
    place: int = 1
    locked_by: str = "nobody: a place is free for whoever asks"

    @property
    def queue(self) -> str:
        """The door in words; "" for that of a site."""
        if self.door is None or self.door.scope == "site":
            return ""
        kind = "asset server " if self.door.scope == "asset_server" else ""
        return f"{kind}{self.door.name or 'unknown rack'}"


def keys_of(machine: Machine) -> Keys:
    """Where an install of `machine` loads the network; one query."""
    place = locations_of([machine.pk]).get(machine.pk, UNKNOWN)
    return Keys(place.site, place.domain(Level.RACK), machine.labels.get(ASSET_SERVER_LABEL, ""))


def read_holders(gate: InstallGate, now: datetime | None = None) -> list[Holder]:
    """Who holds a place, the longest holder first; with `now` without those past their deadline."""
    rows = InstallAttempt.objects.filter(gate=gate, outcome=InstallOutcome.OPEN).order_by("pk")
    if now is not None:
        rows = rows.filter(deadline_at__gt=now)
    columns = ("pk", "machine_id", "raw_query", *SCOPES)
    return [
        Holder(pk, machine_id, query, Keys(*keys))
        for pk, machine_id, query, *keys in rows.values_list(*columns)
    ]


def find_standing(
    *,
    gate: InstallGate,
    keys: Keys,
    waiter_id: int | None,
    holders: Sequence[Holder],
    settings: GateLimits,
    now: datetime,
) -> Standing:
    """Where a machine at `keys` stands among `holders` and those ahead of the waiter `waiter_id`
    (None: it does not wait, and would be last). Two or three queries."""
    limits = read_limits(settings)
    ahead = InstallWaiter.objects.filter(gate=gate, last_asked_at__gte=now - settings.patience)
    ahead = ahead.exclude(machine_id__in=[holder.machine_id for holder in holders])
    if waiter_id is not None:
        ahead = ahead.filter(pk__lt=waiter_id)
    places = Places(limits, (holder.keys for holder in holders))
    door = places.find_shut(keys)
    if door is None:
        before = ahead.order_by("pk").values_list(*SCOPES)[:WALKED_PLACES]
        places.keep(Keys(*one) for one in before)
        door = places.find_shut(keys)
    if door is None:
        return Standing(None)
    at_door = ahead.filter(**{door.scope: door.name})
    return Standing(
        door,
        place=at_door[:COUNTED_PLACES].count() + 1,
        locked_by=_whom_to_name(door, limits, holders, gate, settings, now),
    )


def _whom_to_name(
    door: Door,
    limits: Limits,
    holders: Sequence[Holder],
    gate: InstallGate,
    settings: GateLimits,
    now: datetime,
) -> str:
    """Who is in the way: a limit of zero, the longest holder, else the head of the queue."""
    if (limits.of(door) or 0) < 1:
        is_own = door in limits.named or limits.each[door.scope] != settings.concurrency
        if is_own or door.scope != "site":
            return f"the limit of {door.scope} {door.name or '(each)'}, which is 0"
        return f"ENJOLIVER_INSTALL_CONCURRENCY={settings.concurrency}"
    for holder in holders:
        if door in limits.doors(holder.keys):
            return holder.raw_query
    waiting = InstallWaiter.objects.filter(gate=gate, last_asked_at__gte=now - settings.patience)
    first = waiting.filter(**{door.scope: door.name}).order_by("pk").first()
    return first.raw_query if first else "others that ask right now"
