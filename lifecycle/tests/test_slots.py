"""Slots: races, the machine behind a holder, an operator's release."""

import pytest

from enjoliver.common.errors import Conflict, InvalidInput
from lifecycle.fleetlock import ClientIdentity
from lifecycle.models import LockGroup, Slot
from lifecycle.services import holder_id, lock_slot, release_slot, unlock_slot
from lifecycle.tests.factories import NOON, SlotFactory
from lifecycle.tests.races import all_at_once
from machines.models import Event
from machines.tests.factories import MachineFactory

pytestmark = pytest.mark.django_db


def identity(holder):
    return ClientIdentity(id=holder, group="default")


class TestMachineBehind:
    @pytest.mark.parametrize(
        "spell",
        [
            lambda machine: holder_id(machine),
            lambda machine: machine.uuid.upper(),
            lambda machine: machine.boot_mac,
            lambda machine: machine.boot_mac.replace(":", "-").upper(),
        ],
        ids=["own id", "uuid", "mac", "mac with dashes"],
    )
    def test_a_known_uuid_or_mac_links_the_machine(self, spell):
        machine = MachineFactory.create()
        lock_slot(identity=identity(spell(machine)))
        slot = Slot.objects.get()
        assert slot.machine == machine
        assert slot.holder == spell(machine)
        assert Event.objects.get(kind="slot_taken").machine == machine

    def test_one_of_two_machines_with_one_uuid_is_told_apart(self):
        one = MachineFactory.create()
        other = MachineFactory.create(uuid=one.uuid, discriminator="52:54:00:aa:bb:cc")
        LockGroup.objects.update(slots=2)
        for machine in (one, other):
            lock_slot(identity=identity(holder_id(machine)))
        assert [slot.machine for slot in Slot.objects.order_by("pk")] == [one, other]

    @pytest.mark.parametrize(
        "holder", ["node-a", "aa:bb:cc:dd:ee:ff", "00000000-0000-0000-0000-000000000000", "."]
    )
    def test_any_other_id_holds_a_slot_as_well(self, holder):
        lock_slot(identity=identity(holder))
        assert Slot.objects.get().machine is None

    def test_the_slot_outlives_its_machine(self):
        machine = MachineFactory.create()
        lock_slot(identity=identity(machine.uuid))
        machine.delete()
        assert Slot.objects.get().machine is None
        with pytest.raises(Conflict):
            lock_slot(identity=identity("other"))


class TestRelease:
    def test_it_needs_a_reason_and_leaves_a_trace(self):
        slot = SlotFactory.create(machine=MachineFactory.create())
        with pytest.raises(InvalidInput):
            release_slot(slot=slot, actor="ada", reason="  ")
        release_slot(slot=slot, actor="ada", reason="its mainboard burnt")
        assert not Slot.objects.exists()
        event = Event.objects.get(kind="slot_released")
        assert (event.actor, event.level, event.machine) == ("ada", "warning", slot.machine)
        assert "its mainboard burnt" in event.message
        lock_slot(identity=identity("other"))

    def test_a_slot_that_is_free_already_is_a_conflict(self):
        slot = SlotFactory.create()
        unlock_slot(identity=identity(slot.holder))
        with pytest.raises(Conflict):
            release_slot(slot=slot, actor="ada", reason="gone")

    def test_the_wrong_slot_is_never_released(self):
        slot = SlotFactory.create()
        unlock_slot(identity=identity(slot.holder))
        lock_slot(identity=identity(slot.holder))
        with pytest.raises(Conflict):
            release_slot(slot=slot, actor="ada", reason="gone")
        assert Slot.objects.count() == 1


def test_taking_it_again_is_a_sign_of_life():
    slot = SlotFactory.create()
    lock_slot(identity=identity(slot.holder))
    slot.refresh_from_db()
    assert slot.acquired_at == NOON
    assert slot.last_seen_at > NOON


@pytest.mark.django_db(transaction=True)
class TestRaces:
    def try_lock(self, holder):
        try:
            lock_slot(identity=identity(holder))
        except Conflict:
            return False
        return True

    @pytest.mark.parametrize("slots", [1, 3])
    def test_thirty_clients_at_once_get_exactly_the_slots_there_are(self, slots):
        LockGroup.objects.update_or_create(name="default", defaults={"slots": slots})
        taken = all_at_once(self.try_lock, [f"node-{number}" for number in range(30)])
        assert sum(taken) == slots
        assert Slot.objects.count() == slots

    def test_one_client_locking_many_times_at_once_has_one_slot(self):
        assert all(all_at_once(self.try_lock, ["node-a"] * 10))
        assert Slot.objects.count() == 1

    def test_locks_and_unlocks_at_once_never_exceed_the_slots(self):
        def back_and_forth(holder):
            seen = 0
            for _ in range(5):
                if self.try_lock(holder):
                    seen = max(seen, Slot.objects.count())
                    unlock_slot(identity=identity(holder))
            return seen

        assert max(all_at_once(back_and_forth, list("abcdef"))) <= 1
        assert not Slot.objects.exists()
