"""Recording of a discovery report: which machine it is, what changed, what contradicts."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.utils import timezone

from enjoliver.common.errors import Unavailable
from machines.identity import free_discriminator, known_machine
from machines.models import (
    ConflictKind,
    Interface,
    Machine,
    MachineConflict,
    StateChange,
    UnknownBoot,
)
from machines.report import DiscoveryReport
from machines.services.conflicts import DERIVED, Claims, close_conflicts, derive_conflicts
from machines.services.facts import apply_facts
from machines.services.history import record_event
from machines.services.journals import store_journal
from machines.services.locations import derive_locations
from machines.services.moves import transition_machine
from machines.signals import announce
from machines.states import State

logger = logging.getLogger(__name__)
MAX_ATTEMPTS = 12
NOBODY = Claims("", frozenset(), None)


@dataclass(frozen=True, slots=True)
class RecordedDiscovery:
    """The machine behind a report; `is_new` when this very report made it."""

    machine: Machine
    is_new: bool


class _Overtaken(Exception):
    """Another report of the same machine was stored in between, or the machine was forgotten."""


def record_discovery(*, report: DiscoveryReport) -> RecordedDiscovery:
    """Store what a machine reported, and move it to the state `discovery`.

    Idempotent: the same report many times at once makes one machine, and equal facts rewrite no
    row of interfaces or disks. Contradictions with other machines become conflicts of both.
    Raises Unavailable when other reports of the same machine win every time.
    """
    for _ in range(MAX_ATTEMPTS):
        try:
            return _record_once(report)
        except (IntegrityError, Machine.DoesNotExist, _Overtaken) as error:
            logger.info("discovery of %s starts again: %r", report.uuid, error)
    raise Unavailable(f"too many reports of the machine {report.uuid} at once; try again")


def _record_once(report: DiscoveryReport) -> RecordedDiscovery:
    machine = known_machine(report)
    if machine is not None and machine.facts_digest == report.digest:
        _touch(machine, report)
        return RecordedDiscovery(machine, is_new=False)
    with transaction.atomic():
        is_new = machine is None
        if machine is None:
            machine, former = _create(report), NOBODY
            interfaces: list[Interface] = []
        else:
            _update(machine, report)
            interfaces = list(Interface.objects.filter(machine=machine))
            former = Claims.of_machine(machine, interfaces)
        is_changed = apply_facts(machine, report, interfaces, is_new=is_new)
        present = Claims(report.uuid, frozenset(report.macs), report.boot_address)
        _note_changes(machine, former, present, is_new=is_new)
        touched = _derive(machine, former, present)
        derive_locations([machine.pk])
        announce(touched | ({machine.pk} if is_changed or is_new else set()))
        _follow(machine, report)
    # Two machines that were stored in the same moment did not see each other above.
    announce(_derive(machine, former, present))
    return RecordedDiscovery(machine, is_new=is_new)


def _derive(machine: Machine, former: Claims, present: Claims) -> set[int]:
    subjects = (former.subjects if former is not NOBODY else set()) | present.subjects
    return derive_conflicts(subjects, machine_id=machine.pk, held=present.subjects)


def _touch(machine: Machine, report: DiscoveryReport) -> None:
    """The same facts again: only the time of the report moves."""
    boot_id = report.boot_id or machine.boot_id
    same = Machine.objects.filter(pk=machine.pk, facts_digest=report.digest)
    if not same.update(updated_at=timezone.now(), boot_id=boot_id):
        raise _Overtaken
    if _follow(machine, report) & set(DERIVED):
        present = Claims(report.uuid, frozenset(report.macs), report.boot_address)
        announce(_derive(machine, NOBODY, present))


def _follow(machine: Machine, report: DiscoveryReport) -> set[str]:
    """What each report brings, changed or not: its journal, and the state.

    A machine that states its UUID and MACs itself settles what a query said of them. Returns the
    kinds of its open conflicts.
    """
    store_journal(machine=machine, boot_id=report.boot_id, lines=report.journal)
    transition_machine(machine=machine, to=State.DISCOVERY, reason="reported its facts")
    kinds = set(MachineConflict.objects.filter(machine=machine).values_list("kind", flat=True))
    if ConflictKind.QUERY_MISMATCH in kinds:
        close_conflicts(machine=machine, kind=ConflictKind.QUERY_MISMATCH)
    return kinds


def _create(report: DiscoveryReport) -> Machine:
    now = timezone.now()
    # In this order: whoever stored this very machine in between is seen by the second look, or
    # took the discriminator, and the constraint says so.
    discriminator = free_discriminator(report)
    if known_machine(report) is not None:
        raise _Overtaken
    machine = Machine.objects.create(
        uuid=report.uuid,
        discriminator=discriminator,
        state=State.DISCOVERY,
        state_at=now,
        created_at=now,
        updated_at=now,
        boot_id=report.boot_id,
        **_columns(report),
    )
    StateChange.objects.create(
        machine=machine, to_state=State.DISCOVERY, reason="first report", at=now
    )
    UnknownBoot.objects.filter(mac__in=report.macs).delete()
    return machine


def _update(machine: Machine, report: DiscoveryReport) -> None:
    """Compare-and-swap on the digest: of two reports at once the second starts again."""
    values = {
        **_columns(report),
        "updated_at": timezone.now(),
        "boot_id": report.boot_id or machine.boot_id,
    }
    rows = Machine.objects.filter(pk=machine.pk, facts_digest=machine.facts_digest)
    if not rows.update(**values):
        raise _Overtaken
    for name, value in values.items():
        setattr(machine, name, value)


def _columns(report: DiscoveryReport) -> dict[str, object]:
    return {
        "boot_mac": report.boot_mac,
        "serial": report.hardware.serial,
        "product": report.hardware.product,
        "cpu_count": report.hardware.cpu_count,
        "memory_bytes": report.hardware.memory_bytes,
        "facts": report.facts,
        "facts_digest": report.digest,
    }


def _note_changes(machine: Machine, former: Claims, present: Claims, *, is_new: bool) -> None:
    if is_new:
        message = f"A new machine: {machine.boot_mac}, {present.boot_address or 'no address'}."
        record_event(kind="discovered", message=message, machine=machine)
    elif former.boot_address != present.boot_address:
        message = (
            f"The boot address was {former.boot_address or 'none'} and "
            f"is {present.boot_address or 'none'} now."
        )
        record_event(kind="address_changed", message=message, machine=machine, level="warning")
