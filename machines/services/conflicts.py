"""Contradictions between machines: opened and closed from the facts, and by the apps above.

A subject (a UUID, a MAC, a boot address) held by two machines is a conflict of both. At each
changed discovery only the subjects of that machine are looked at, and of the machines that hold
one only the lowest and the highest key: two are enough to know, and the one that reports is
known, so ten thousand boards with one UUID cost each other nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import reduce
from operator import or_
from typing import Any

from django.db import IntegrityError, models, transaction
from django.db.models import Count, Max, Min, Q
from django.utils import timezone

from enjoliver.common.rawquery import MachineQuery
from machines.models import ConflictKind, EventLevel, Interface, Machine, MachineConflict
from machines.services.history import record_event
from machines.signals import announce
from machines.text import one_line

MISMATCH_EVENT_EVERY = timedelta(minutes=1)
DERIVED = (ConflictKind.DUPLICATE_UUID, ConflictKind.SHARED_MAC, ConflictKind.SHARED_ADDRESS)
"""The kinds that follow from the facts of the machines alone."""

Subject = tuple[str, str]
"""What is contended: (kind, UUID or MAC or address)."""
Holding = tuple[int, str, str]
"""One machine holding one subject: (machine id, kind, subject)."""


@dataclass(frozen=True, slots=True)
class Claims:
    """The subjects that one machine holds by its facts."""

    uuid: str
    macs: frozenset[str]
    boot_address: str | None

    @classmethod
    def of_machine(cls, machine: Machine, interfaces: Sequence[Interface]) -> Claims:
        """The claims of a stored machine."""
        boot = [row.ipv4 for row in interfaces if row.is_boot]
        return cls(machine.uuid, frozenset(row.mac for row in interfaces), next(iter(boot), None))

    @property
    def subjects(self) -> set[Subject]:
        """What these claims may contend for."""
        held: set[Subject] = {(ConflictKind.DUPLICATE_UUID, self.uuid)}
        held |= {(ConflictKind.SHARED_MAC, mac) for mac in self.macs}
        if self.boot_address:
            held.add((ConflictKind.SHARED_ADDRESS, self.boot_address))
        return held


def derive_conflicts(
    subjects: Collection[Subject],
    *,
    machine_id: int | None,
    held: Collection[Subject] = (),
) -> set[int]:
    """Open and close the derived conflicts over `subjects`; returns the machines concerned.

    `machine_id` is the machine that caused the look, `held` those subjects that it holds now.
    The caller announces the machines.
    """
    spans = _spans(subjects)
    wanted: set[Holding] = set()
    for subject in subjects:
        low, high = spans.get(subject, (0, 0))
        if low != high:
            mine = {machine_id} if machine_id and subject in held else set()
            wanted |= {(holder, *subject) for holder in {low, high} | mine}
    involved = {holding[0] for holding in wanted} | ({machine_id} if machine_id else set())
    lone = [s for s in subjects if len(set(spans.get(s, (0, 0)))) == 1]
    rows = MachineConflict.objects.filter(
        _any_of(subjects) & (Q(machine_id__in=involved) | _any_of(lone))
    )
    return _settle(wanted, list(rows.select_related("machine")))


def recheck_conflicts() -> set[int]:
    """Derive all conflicts of the fleet again, in a constant number of queries.

    Repairs what two discoveries that committed in the same moment could not see of each other.
    Returns the machines whose conflicts changed.
    """
    contended = [
        (kind, subject)
        for kind, rows, column in _holders()
        for subject in rows.values(column)
        .annotate(number=Count(_owner(kind), distinct=True))
        .filter(number__gt=1)
        .values_list(column, flat=True)
    ]
    wanted: set[Holding] = {
        (holder, kind, subject)
        for kind, rows, column in _holders()
        for subject, holder in rows.filter(
            **{f"{column}__in": [s for k, s in contended if k == kind]}
        ).values_list(column, _owner(kind))
    }
    # Who held a subject a moment ago may have gone, and leaves the other one without a conflict.
    holders = Counter(holding[1:] for holding in wanted)
    wanted = {holding for holding in wanted if holders[holding[1:]] > 1}
    rows = MachineConflict.objects.filter(kind__in=DERIVED).select_related("machine")
    with transaction.atomic():
        touched = _settle(wanted, list(rows))
        announce(touched)
    return touched


def open_conflict(*, machine: Machine, kind: str, subject: str, detail: str) -> bool:
    """Open a conflict of `machine` over `subject`, once; True when it was not open before."""
    with transaction.atomic():
        is_opened = _open_row(machine, kind, subject, detail)
        if is_opened:
            announce([machine.pk])
    return is_opened


def close_conflicts(*, machine: Machine, kind: str, keep: Iterable[str] = ()) -> int:
    """Close the machine's conflicts of `kind` whose subject is not in `keep`; returns how many."""
    rows = MachineConflict.objects.filter(machine=machine, kind=kind).exclude(
        subject__in=list(keep)
    )
    if not rows.exists():
        return 0
    with transaction.atomic():
        announce([machine.pk])
        return _close(list(rows.select_related("machine")))


def record_query_mismatch(*, machine: Machine, query: MachineQuery) -> None:
    """Note that a query named the MAC of `machine` with another UUID.

    One row per machine and MAC whatever the UUIDs, one event a minute; in between nothing is
    written, so that a caller who repeats itself costs one look-up.
    """
    now = timezone.now()
    key = {"machine": machine, "kind": ConflictKind.QUERY_MISMATCH, "subject": query.mac}
    detail = f"a query named the UUID {query.uuid}; the machine has {machine.uuid}"
    rows = MachineConflict.objects.filter(**key)
    seen_at = rows.values_list("seen_at", flat=True).first()
    if seen_at and abs(now - seen_at) < MISMATCH_EVENT_EVERY:  # ahead: the clock stepped back
        return
    try:
        with transaction.atomic():
            if seen_at:  # compare-and-swap: of several callers one writes the event
                is_mine = bool(rows.filter(seen_at=seen_at).update(seen_at=now, detail=detail))
            else:
                defaults = {"detail": detail, "opened_at": now, "seen_at": now}
                _, is_mine = MachineConflict.objects.get_or_create(**key, defaults=defaults)
            if is_mine:
                record_event(
                    kind="identity_conflict",
                    message=f"{query.mac}: {detail}.",
                    machine=machine,
                    level=EventLevel.WARNING,
                )
    except IntegrityError:
        if Machine.objects.filter(pk=machine.pk).exists():
            raise
        # It was forgotten just now: there is nothing left to contradict.


def _holders() -> list[tuple[ConflictKind, models.QuerySet[Any], str]]:
    """For each derived kind the rows that hold a subject, and the column that names it."""
    boot = Interface.objects.filter(is_boot=True, ipv4__isnull=False)
    return [
        (ConflictKind.DUPLICATE_UUID, Machine.objects.order_by(), "uuid"),
        (ConflictKind.SHARED_MAC, Interface.objects.order_by(), "mac"),
        (ConflictKind.SHARED_ADDRESS, boot.order_by(), "ipv4"),
    ]


def _owner(kind: str) -> str:
    return "pk" if kind == ConflictKind.DUPLICATE_UUID else "machine_id"


def _spans(subjects: Collection[Subject]) -> dict[Subject, tuple[int, int]]:
    """The lowest and the highest machine id that holds each subject."""
    spans: dict[Subject, tuple[int, int]] = {}
    for kind, rows, column in _holders():
        named = sorted(subject for its_kind, subject in subjects if its_kind == kind)
        if named:
            found = rows.filter(**{f"{column}__in": named}).values(column)
            found = found.annotate(low=Min(_owner(kind)), high=Max(_owner(kind)))
            spans |= {(kind, row[column]): (row["low"], row["high"]) for row in found}
    return spans


def _any_of(subjects: Iterable[Subject]) -> Q:
    by_kind: dict[str, list[str]] = {}
    for kind, subject in subjects:
        by_kind.setdefault(kind, []).append(subject)
    nothing = Q(pk__in=[])
    return reduce(or_, (Q(kind=k, subject__in=named) for k, named in by_kind.items()), nothing)


def _settle(wanted: set[Holding], rows: Sequence[MachineConflict]) -> set[int]:
    """Close the rows that are not wanted, open what is missing; returns the machines touched."""
    existing = {(row.machine_id, row.kind, row.subject) for row in rows}
    stale = _ended([row for row in rows if (row.machine_id, row.kind, row.subject) not in wanted])
    missing = sorted(wanted - existing)
    if not stale and not missing:
        return set()
    touched = {row.machine_id for row in stale} | {holding[0] for holding in missing}
    with transaction.atomic():
        _close(stale)
        _open(missing, wanted)
    return touched


def _ended(rows: Sequence[MachineConflict]) -> list[MachineConflict]:
    """Those of `rows` that are no contradiction now.

    Who read them had looked at the machines before: one that was stored in between brought its
    conflicts with it. And of the holders of a subject a discovery knows a few only.
    """
    if not rows:
        return []
    spans = _spans({(row.kind, row.subject) for row in rows})
    contended = {subject for subject, (low, high) in spans.items() if low != high}
    held = _held_of(rows)
    return [
        row
        for row in rows
        if (row.kind, row.subject) not in contended
        or (row.machine_id, row.kind, row.subject) not in held
    ]


def _held_of(rows: Sequence[MachineConflict]) -> set[Holding]:
    """The holdings that `rows` are about, as far as their machines still hold them."""
    held: set[Holding] = set()
    for kind, holders, column in _holders():
        of_kind = [row for row in rows if row.kind == kind]
        if of_kind:
            named = {
                f"{column}__in": {row.subject for row in of_kind},
                f"{_owner(kind)}__in": {row.machine_id for row in of_kind},
            }
            found = holders.filter(**named).values_list(_owner(kind), column)
            held |= {(holder, kind, subject) for holder, subject in found}
    return held


def _open(missing: Sequence[Holding], wanted: set[Holding]) -> None:
    others: dict[Subject, list[int]] = {}
    for holder, kind, subject in sorted(wanted):
        others.setdefault((kind, subject), []).append(holder)
    machines = Machine.objects.defer("facts").in_bulk({holding[0] for holding in wanted})
    for holder, kind, subject in missing:
        other = next(pk for pk in others[kind, subject] if pk != holder)
        if holder in machines and other in machines:
            _open_row(machines[holder], kind, subject, f"also at the machine {machines[other]}")


def _open_row(machine: Machine, kind: str, subject: str, detail: str) -> bool:
    now = timezone.now()
    _, is_opened = MachineConflict.objects.get_or_create(
        machine=machine,
        kind=kind,
        subject=subject,
        defaults={"detail": one_line(detail, 300), "opened_at": now, "seen_at": now},
    )
    if is_opened:
        _note(machine, kind, f"{subject}: {detail}", is_open=True)
    return is_opened


def _close(rows: Sequence[MachineConflict]) -> int:
    deleted, _ = MachineConflict.objects.filter(pk__in=[row.pk for row in rows]).delete()
    for row in rows:
        _note(row.machine, row.kind, row.subject, is_open=False)
    return deleted


def _note(machine: Machine, kind: str, text: str, *, is_open: bool) -> None:
    label = ConflictKind(kind).label
    record_event(
        kind="conflict_opened" if is_open else "conflict_closed",
        message=f"{'Conflict' if is_open else 'No longer a conflict'}: {label}. {text}",
        machine=machine,
        level=EventLevel.WARNING if is_open else EventLevel.INFO,
    )
