"""Boots: a known machine is `booting`, an unknown MAC is counted."""

from __future__ import annotations

from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils import timezone

from enjoliver.common.rawquery import MachineQuery
from machines.matching import Match, match_query
from machines.models import Machine, UnknownBoot
from machines.services.conflicts import record_query_mismatch
from machines.services.moves import transition_machine
from machines.states import State

MAX_UNKNOWN_BOOTS = 1000
SAME_BOOT = timedelta(seconds=5)


def record_boot(*, query: MachineQuery) -> None:
    """Note that the machine behind `query` asked for its iPXE script.

    A known machine becomes `booting`: one look-up, one update, one history row, and nothing when
    it asked a moment ago. A query whose UUID is another machine's changes no state and is
    recorded as a mismatch. An unknown MAC is counted in a bounded table.
    """
    match = match_query(query)
    if match is None:
        _count_unknown_boot(query.mac)
        return
    try:
        _record_known(match, query)
    except (Machine.DoesNotExist, IntegrityError):
        if Machine.objects.filter(pk=match.machine.pk).exists():
            raise
        _count_unknown_boot(query.mac)  # it was forgotten just now


def _record_known(match: Match, query: MachineQuery) -> None:
    if not match.agrees:
        record_query_mismatch(machine=match.machine, query=query)
    elif match.machine.state == State.BOOTING:
        _note_further_boot(match.machine)
    else:
        transition_machine(machine=match.machine, to=State.BOOTING, reason="asked for its script")


def _note_further_boot(machine: Machine) -> None:
    """A machine that boots again without having done anything else: only the time moves."""
    now = timezone.now()
    if abs(now - machine.state_at) > SAME_BOOT:  # far ahead: the clock stepped back
        Machine.objects.filter(pk=machine.pk, state=State.BOOTING).update(state_at=now)


def _count_unknown_boot(mac: str) -> None:
    now = timezone.now()
    rows = UnknownBoot.objects.filter(mac=mac)
    if rows.update(last_at=now, count=F("count") + 1):
        return
    with transaction.atomic():
        _, is_created = UnknownBoot.objects.get_or_create(
            mac=mac, defaults={"first_at": now, "last_at": now}
        )
        if not is_created:  # somebody else inserted it in between
            rows.update(last_at=now, count=F("count") + 1)
        else:
            _evict_oldest()


def _evict_oldest() -> None:
    extra = UnknownBoot.objects.count() - MAX_UNKNOWN_BOOTS
    if extra > 0:
        oldest = UnknownBoot.objects.order_by("last_at", "pk").values_list("pk", flat=True)[:extra]
        UnknownBoot.objects.filter(Q(pk__in=list(oldest))).delete()
