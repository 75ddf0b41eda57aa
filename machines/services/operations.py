"""What operators and the apps above do to a machine: installed, reinstall, labels, forget."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError, Q
from django.utils import timezone

from enjoliver.common.errors import Conflict, InvalidInput, UnknownMachine
from machines.models import EventLevel, Interface, Machine
from machines.services.conflicts import Claims, derive_conflicts
from machines.services.history import record_event
from machines.services.locations import derive_locations
from machines.signals import announce
from machines.text import has_control_characters

MAX_LABELS = 64
MAX_LABEL_VALUE = 128
_TRIES = 5
Objection = Callable[[Machine], str | None]
_objections: list[Objection] = []
_LABEL_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?", re.ASCII)


def mark_installed(*, machine: Machine, at: datetime, started_at: datetime | None = None) -> bool:
    """Note that an install report counted: the machine is installed since `at`.

    It ends a reinstall request, except one that came after the installation `started_at`: then
    nothing changes and False is returned.
    """
    rows = Machine.objects.filter(pk=machine.pk)
    if started_at is not None:
        rows = rows.filter(
            Q(reinstall_requested_at=None) | Q(reinstall_requested_at__lte=started_at)
        )
    with transaction.atomic():
        if not rows.update(installed_at=at, reinstall_requested_at=None):
            return False
        record_event(kind="installed", message="The machine is installed.", machine=machine)
        announce([machine.pk])
    machine.installed_at, machine.reinstall_requested_at = at, None
    return True


def add_reinstall_objection(objection: Objection) -> None:
    """Let an app above speak against reinstalls: `objection(machine)` says what harm one would do,
    or None. Adding one twice is adding it once."""
    if objection not in _objections:
        _objections.append(objection)


def remove_reinstall_objection(objection: Objection) -> None:
    """Take it out again."""
    _objections.remove(objection)


def request_reinstall(
    *,
    machine: Machine,
    actor: str,
    reason: str,
    is_forced: bool = False,
    now: datetime | None = None,
) -> None:
    """Ask that the machine installs itself again at its next boot, with who asked and why.

    Raises Conflict with the harm that it would do (`add_reinstall_objection`), unless forced, and
    UnknownMachine when it was forgotten meanwhile.
    """
    harm = next(filter(None, (objection(machine) for objection in _objections)), None)
    if harm and not is_forced:
        raise Conflict(f"{harm}; it can be forced", kind="harmful_reinstall")
    now = now or timezone.now()
    rows = Machine.objects.filter(pk=machine.pk)
    with transaction.atomic():
        if not rows.update(installed_at=None, reinstall_requested_at=now):
            raise UnknownMachine(f"{machine} was forgotten just now")
        record_event(
            kind="reinstall_requested",
            message=f"Reinstall requested: {reason}",
            machine=machine,
            actor=actor,
        )
        announce([machine.pk])
    machine.installed_at, machine.reinstall_requested_at = None, now


def set_labels(*, machine: Machine, labels: Mapping[str, str], actor: str) -> bool:
    """Replace the machine's labels (text to text); True when something changed.

    Raises InvalidInput naming each label that cannot be taken; then nothing is changed.
    """
    problems = check_labels(labels)
    if problems:
        raise InvalidInput("the labels cannot be taken", kind="invalid_labels", fields=problems)
    wanted = dict(sorted(labels.items()))
    with transaction.atomic():
        if not Machine.objects.filter(pk=machine.pk).exclude(labels=wanted).update(labels=wanted):
            return False
        derive_locations([machine.pk])
        text = ", ".join(f"{name}={value}" for name, value in wanted.items()) or "none"
        record_event(kind="labels", message=f"Labels set: {text}", machine=machine, actor=actor)
        announce([machine.pk])
    machine.labels = wanted
    return True


def check_labels(labels: object) -> dict[str, str]:
    """What is wrong with `labels`, by name; empty when they can be taken."""
    if not isinstance(labels, Mapping):
        return {"labels": "an object of text to text is expected"}
    if len(labels) > MAX_LABELS:
        return {"labels": f"at most {MAX_LABELS} labels"}
    return {
        f"labels.{str(name)[:64]}": reason
        for name, value in labels.items()
        if (reason := _label_problem(name, value))
    }


def _label_problem(name: object, value: object) -> str:
    if not isinstance(name, str) or not _LABEL_NAME.fullmatch(name):
        return "a name has 1 to 63 letters, digits, dots, dashes, slashes or underscores"
    if not isinstance(value, str):
        return "a text is expected"
    if len(value) > MAX_LABEL_VALUE or has_control_characters(value):
        return f"at most {MAX_LABEL_VALUE} characters, no control characters"
    return ""


def forget_machine(*, machine: Machine, actor: str, reason: str) -> None:
    """Delete a machine that is gone (a swapped mainboard's former identity, a returned machine).

    Closes the conflicts that it was part of. A machine that still exists comes back with its next
    discovery, as a new one. Raises Conflict while the machine has a role, or writes something each
    time that it is tried, and UnknownMachine when it is gone already.
    """
    for _ in range(_TRIES):
        try:
            with transaction.atomic():
                _forget(machine.pk, actor, reason)
        except ProtectedError as error:
            raise Conflict(
                f"{machine} is still used (a role, an assignment): release it first",
                kind="machine_in_use",
            ) from error
        except IntegrityError:  # a report of it was stored while its rows were deleted
            continue
        return
    raise Conflict(
        f"{machine} still talks to the engine: switch it off first", kind="machine_talks"
    )


def _forget(machine_id: int, actor: str, reason: str) -> None:
    machine = Machine.objects.filter(pk=machine_id).first()
    if machine is None:
        raise UnknownMachine("this machine was forgotten already")
    claims = Claims.of_machine(machine, list(Interface.objects.filter(machine=machine)))
    message = f"Forgotten: machine {machine.uuid} with boot MAC {machine.boot_mac}. {reason}"
    machine.delete()
    changed = derive_conflicts(claims.subjects, machine_id=None)
    record_event(kind="machine_forgotten", message=message, actor=actor, level=EventLevel.WARNING)
    announce({machine_id, *changed})
