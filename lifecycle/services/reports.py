"""Config reports: the path that every machine takes each minute. One look-up, one small write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from enjoliver.common.errors import NotAcceptable, UnknownMachine
from enjoliver.common.prepared import PreparedQuery
from enjoliver.common.rawquery import MachineQuery
from lifecycle.models import IgnitionReport
from lifecycle.services.removed import unknown_when_removed
from lifecycle.verdict import (
    Claim,
    Digests,
    UnreadableReport,
    claim_of_bytes,
    matches,
    read_claim,
)
from machines.lookup import find_machine
from machines.models import Interface, Machine
from machines.services import record_event, transition_machine
from machines.states import State
from matchbox_sync.models import DesiredConfig, MachineConfig

EVENT_SPACING = timedelta(seconds=2)
"""A machine that flips its claim at each request fills the timeline no faster than this."""

_CHUNK = 500


class Verdict(Enum):
    """The answer to a report. SEND_FULL: outdated, and its digest tells us nothing."""

    UP_TO_DATE = "up to date"
    OUTDATED = "outdated"
    SEND_FULL = "outdated, digest unknown"


@dataclass(frozen=True, slots=True)
class Reporter:
    """All that a report needs to know about its machine. `running` is what it last reported."""

    machine_id: int
    uuid: str
    state: str
    installed_at: datetime | None
    updated_at: datetime
    desired: Digests | None
    running: Digests | None
    was_up_to_date: bool | None
    last_change_at: datetime | None


_COLUMNS = (
    "machine_id",
    "machine__uuid",
    "machine__state",
    "machine__installed_at",
    "machine__updated_at",
    "machine__desired__sha512",
    "machine__desired__canonical_sha512",
    "machine__ignition_report__sha512",
    "machine__ignition_report__canonical_sha512",
    "machine__ignition_report__is_up_to_date",
    "machine__ignition_report__last_change_at",
)
_read_rows = PreparedQuery(
    lambda mac: Interface.objects.filter(mac=mac).order_by().values_list(*_COLUMNS)
)


def submit_report(*, query: MachineQuery, body: bytes, now: datetime | None = None) -> Verdict:
    """Compare what a machine runs with what it should run, and keep the verdict.

    Raises UnknownMachine, IdentityConflict, and NotAcceptable for a body that cannot be read.
    A machine without a desired config (no role yet) is outdated: there is nothing that it could
    be up to date with, and nobody grants it a strategy.
    """
    reporter = find_reporter(query)
    claim = _read_claim(reporter, body)
    is_up_to_date = matches(claim.digests, reporter.desired)
    with unknown_when_removed(reporter.machine_id):
        _store(reporter, claim.digests, is_up_to_date=is_up_to_date, now=now or timezone.now())
        if reporter.installed_at and reporter.state != State.RUNNING:
            machine = Machine.objects.get(pk=reporter.machine_id)
            transition_machine(machine=machine, to=State.RUNNING, reason="reported its config")
    if is_up_to_date:
        return Verdict.UP_TO_DATE
    is_known = claim.is_full or claim.digests.canonical
    return Verdict.OUTDATED if is_known else Verdict.SEND_FULL


def find_reporter(query: MachineQuery) -> Reporter:
    """The reporting machine in one indexed query; raises UnknownMachine or IdentityConflict."""
    reporters = [_reporter(row) for row in _read_rows(query.mac)]
    if query.uuid:
        reporters = [reporter for reporter in reporters if reporter.uuid == query.uuid]
    if reporters:
        # The same choice as machines.lookup: the installed machine, then the newest report.
        return max(reporters, key=lambda r: (r.installed_at is not None, r.updated_at))
    find_machine(query)  # tells an unknown machine from a conflict, and records the latter
    raise UnknownMachine(f"no machine has the MAC {query.mac}")


def _reporter(row: tuple[Any, ...]) -> Reporter:
    machine_id, uuid, state, installed_at, updated_at, wanted, wanted_canonical = row[:7]
    running, running_canonical, was_up_to_date, last_change_at = row[7:]
    return Reporter(
        machine_id=machine_id,
        uuid=uuid,
        state=state,
        installed_at=installed_at,
        updated_at=updated_at,
        desired=None if wanted is None else Digests(wanted, wanted_canonical),
        running=None if running is None else Digests(running, running_canonical),
        was_up_to_date=was_up_to_date,
        last_change_at=last_change_at,
    )


def _read_claim(reporter: Reporter, body: bytes) -> Claim:
    claim = claim_of_bytes(body, (reporter.desired, reporter.running))
    if claim:
        return claim
    try:
        claim = read_claim(body)
    except UnreadableReport as error:
        raise NotAcceptable(
            str(error), kind="unreadable_report", extra={"message": "Unreadable"}
        ) from error
    return claim if claim.is_full else Claim(_recognise(reporter, claim.digests), is_full=False)


def _recognise(reporter: Reporter, claimed: Digests) -> Digests:
    """Complete a bare digest with its canonical one, when this machine ever had that document."""
    for known in (reporter.desired, reporter.running):
        if known and known.canonical and claimed.sha512 in (known.sha512, known.canonical):
            return Digests(claimed.sha512, known.canonical)
    is_it = Q(document_id=claimed.sha512) | Q(canonical_sha512=claimed.sha512)
    canonical = (
        MachineConfig.objects.filter(is_it, machine_id=reporter.machine_id)
        .values_list("canonical_sha512", flat=True)
        .first()
    )
    return Digests(claimed.sha512, canonical or "")


def _store(reporter: Reporter, running: Digests, *, is_up_to_date: bool, now: datetime) -> None:
    is_flip = reporter.was_up_to_date not in (None, is_up_to_date)
    changes: dict[str, Any] = {
        "is_up_to_date": is_up_to_date,
        "sha512": running.sha512,
        "canonical_sha512": running.canonical,
        "reported_at": now,
    }
    if is_flip:
        changes["last_change_at"] = now
    is_same = (running, is_up_to_date) == (reporter.running, reporter.was_up_to_date)
    mine = IgnitionReport.objects.filter(pk=reporter.machine_id)
    # The usual report changes nothing but its time; it must not undo what `follow_desired` wrote.
    written = {"reported_at": now} if is_same else changes
    if reporter.was_up_to_date is None or not mine.update(**written):
        _create(reporter.machine_id, changes, now)
    if is_flip:
        _tell_flip(reporter, is_up_to_date, now)


def _create(machine_id: int, changes: dict[str, Any], now: datetime) -> None:
    first = IgnitionReport(machine_id=machine_id, created_at=now, **changes)
    # Two first reports at once: the second one becomes an update.
    IgnitionReport.objects.bulk_create(
        [first], update_conflicts=True, unique_fields=["machine"], update_fields=list(changes)
    )


def _tell_flip(reporter: Reporter, is_up_to_date: bool, now: datetime) -> None:
    if reporter.last_change_at and abs(now - reporter.last_change_at) < EVENT_SPACING:
        return
    kind, message = (
        ("config_up_to_date", "runs its desired config")
        if is_up_to_date
        else ("config_outdated", "reported a config that is not the desired one")
    )
    machine = Machine.objects.get(pk=reporter.machine_id)
    record_event(kind=kind, message=message, machine=machine)


def follow_desired(*, machine_ids: Sequence[int], now: datetime | None = None) -> int:
    """Judge the last reports of machines again after their desired config changed.

    The reported digests are kept, so the verdict needs no new report. Returns how many flipped.
    """
    now = now or timezone.now()
    desired = DesiredConfig.objects.filter(machine_id=OuterRef("machine_id")).filter(
        Q(sha512=OuterRef("sha512"))
        | Q(canonical_sha512=OuterRef("sha512"))
        | Q(canonical_sha512=OuterRef("canonical_sha512"))
    )
    flipped = 0
    for start in range(0, len(machine_ids), _CHUNK):
        chunk = IgnitionReport.objects.filter(machine_id__in=machine_ids[start : start + _CHUNK])
        for verdict, is_it in ((True, Exists(desired)), (False, ~Exists(desired))):
            flipped += chunk.filter(is_it, is_up_to_date=not verdict).update(
                is_up_to_date=verdict, last_change_at=now
            )
    return flipped
