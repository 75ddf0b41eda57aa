"""FleetLock slots. The rule is `lifecycle.semaphore`; the truth is the group's row and its slots.

A slot never frees itself: a machine that does not come back stays counted as unavailable until
its holder unlocks or an operator releases the slot, with a reason. Groups of policies ask for leave
(`lifecycle.services.leases`); `default`, and any other group, asks nobody.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from enjoliver.common.addresses import normalise_mac, normalise_uuid
from enjoliver.common.errors import Conflict, InvalidInput, Unavailable
from lifecycle.fleetlock import ClientIdentity
from lifecycle.models import LockGroup, Slot
from lifecycle.semaphore import Semaphore, SemaphoreFull
from lifecycle.services.leases import full, note_release, note_return, take_policy_slot
from machines.models import Machine
from machines.services import record_event

DEFAULT_GROUP = "default"
_TRIES = 20


def holder_id(machine: Machine) -> str:
    """The id that `machine` takes its slot with: its UUID, with the boot MAC where vendors
    shipped one UUID twice. Stable while boot interfaces and addresses change."""
    return f"{machine.uuid}.{machine.discriminator}" if machine.discriminator else machine.uuid


def machine_behind(holder: str) -> Machine | None:
    """The machine that an opaque holder id names, if it is a known UUID or MAC in any spelling."""
    text, _, discriminator = holder.partition(".")
    with suppress(ValueError):
        uuid = normalise_uuid(text)
        return Machine.objects.filter(uuid=uuid, discriminator=discriminator.lower()).first()
    with suppress(ValueError):
        owners = Machine.objects.filter(interfaces__mac=normalise_mac(holder))
        return owners.order_by("-updated_at").first()
    return None


def lock_slot(*, identity: ClientIdentity, now: datetime | None = None) -> None:
    """Take a slot for the holder, who may have it already (RecursiveLock).

    Raises InvalidInput (unknown group), Conflict (all slots are held; `not_now`: the group's policy
    gives no leave; `other_authority`: another server holds the slots) and Unavailable (lost too
    many races; nothing was taken).
    """
    if settings.FLEETLOCK_URL:
        raise _elsewhere()
    now = now or timezone.now()
    for _ in range(_TRIES):
        group = _find_group(identity.group)
        if group.policy_id is not None:
            machine = machine_behind(identity.id)
            if take_policy_slot(group=group, identity=identity, machine=machine, now=now):
                return
            continue
        semaphore = _semaphore_of(group)
        try:
            wanted = semaphore.recursive_lock(identity.id)
        except SemaphoreFull:
            raise full(group) from None
        if wanted == semaphore:
            if group.held.filter(holder=identity.id).update(last_seen_at=now):
                return
        elif _take(group, identity.id, now):
            return
    raise _contended()


def unlock_slot(*, identity: ClientIdentity, now: datetime | None = None) -> None:
    """Free the holder's slot; no error when it holds none (UnlockIfHeld).

    Raises InvalidInput (unknown group), Unavailable as `lock_slot`, and Conflict `other_authority`
    when another server holds the slots and this holder has none here from before.
    """
    now = now or timezone.now()
    for _ in range(_TRIES):
        group = _find_group(identity.group)
        semaphore = _semaphore_of(group)
        if semaphore.unlock_if_held(identity.id) == semaphore:
            if settings.FLEETLOCK_URL:
                raise _elsewhere()
            return
        slot = group.held.select_related("machine").filter(holder=identity.id).first()
        if slot and _free(
            group, slot, kind="slot_freed", message="unlocked by its holder", now=now
        ):
            return
    raise _contended()


def release_slot(*, slot: Slot, actor: str, reason: str, now: datetime | None = None) -> None:
    """Free the slot of a holder that will not come back; its rollout leaves the machine out.

    Raises InvalidInput without a reason, Conflict when the slot is free already.
    """
    now = now or timezone.now()
    reason = reason.strip()
    if not reason:
        raise InvalidInput("a reason is needed", fields={"reason": "required"})
    for _ in range(_TRIES):
        group = LockGroup.objects.get(pk=slot.group_id)
        if not group.held.filter(pk=slot.pk).exists():
            raise Conflict("this slot is free already")
        if _free(group, slot, kind="slot_released", message=reason, actor=actor, now=now):
            return
    raise _contended()


def _find_group(name: str) -> LockGroup:
    group = LockGroup.objects.filter(name=name).select_related("policy").first()
    if group is None and name == DEFAULT_GROUP:
        group = LockGroup.objects.get_or_create(name=name)[0]
    if group is None:
        raise InvalidInput(f"there is no group {name}", kind="unknown_group")
    return group


def _semaphore_of(group: LockGroup) -> Semaphore:
    """Who holds its slots, read after its version: the compare-and-swap is on that."""
    holders = group.held.order_by().values_list("holder", flat=True)
    return Semaphore(group.slots, frozenset(holders))


def _swap(group: LockGroup) -> bool:
    seen = LockGroup.objects.filter(pk=group.pk, version=group.version)
    return bool(seen.update(version=F("version") + 1))


def _take(group: LockGroup, holder: str, now: datetime) -> bool:
    machine = machine_behind(holder)
    try:
        with transaction.atomic():
            if not _swap(group):
                return False
            Slot.objects.create(
                group=group, holder=holder, machine=machine, acquired_at=now, last_seen_at=now
            )
            record_event(
                kind="slot_taken",
                message=f"{holder} took a slot of the group {group.name}",
                machine=machine,
            )
    except IntegrityError:  # the machine was removed in between
        return False
    return True


def _free(
    group: LockGroup, slot: Slot, *, kind: str, message: str, now: datetime, actor: str = ""
) -> bool:
    with transaction.atomic():
        if not _swap(group) or not Slot.objects.filter(pk=slot.pk).delete()[0]:
            return False
        if actor:
            note_release(slot, actor, message, now)
        else:
            note_return(slot, now)
        record_event(
            kind=kind,
            level="warning" if actor else "info",
            message=f"the slot of {slot.holder} in the group {group.name} is free: {message}",
            machine=slot.machine,
            actor=actor,
        )
    return True


def _elsewhere() -> Conflict:
    return Conflict(
        f"slots are held by the FleetLock server at {settings.FLEETLOCK_URL}: ask there",
        kind="other_authority",
    )


def _contended() -> Unavailable:
    return Unavailable(
        "too many clients at once; try again", kind="lock_contention", headers={"Retry-After": "1"}
    )
