"""Protocol page, "Overview" and "Client state-machine": owned, recursive locking."""

import pytest

from lifecycle.models import LockGroup, Slot

pytestmark = pytest.mark.django_db


def holders():
    return set(Slot.objects.values_list("holder", flat=True))


def test_pre_reboot_reserves_a_slot(fleetlock):
    assert fleetlock.lock("a").status_code == 200
    assert holders() == {"a"}


def test_steady_state_releases_it(fleetlock):
    fleetlock.lock("a")
    assert fleetlock.unlock("a").status_code == 200
    assert holders() == set()


def test_the_default_group_exists_with_one_slot(fleetlock):
    assert LockGroup.objects.get().slots == 1
    assert fleetlock.lock("a").status_code == 200
    assert fleetlock.lock("b").status_code == 409


def test_the_default_group_is_made_again_when_it_is_missing(fleetlock):
    LockGroup.objects.all().delete()
    assert fleetlock.lock("a").status_code == 200


def test_locks_are_owned_so_only_their_holder_releases_them(fleetlock):
    fleetlock.lock("a")
    assert fleetlock.unlock("b").status_code == 200
    assert holders() == {"a"}


def test_all_operations_are_recursive(fleetlock):
    for _ in range(3):
        assert fleetlock.lock("a").status_code == 200
    assert Slot.objects.count() == 1
    for _ in range(3):
        assert fleetlock.unlock("a").status_code == 200
    assert holders() == set()


def test_unlocking_what_is_not_held_succeeds_and_writes_nothing(
    fleetlock, django_assert_num_queries
):
    with django_assert_num_queries(2):
        assert fleetlock.unlock("a").status_code == 200


def test_a_client_starts_with_an_unlock_and_goes_through_its_states(fleetlock):
    for step in (fleetlock.unlock, fleetlock.lock, fleetlock.unlock, fleetlock.unlock):
        assert step("a").status_code == 200


def test_a_slot_that_was_freed_goes_to_the_next(fleetlock):
    fleetlock.lock("a")
    assert fleetlock.lock("b").status_code == 409
    fleetlock.unlock("a")
    assert fleetlock.lock("b").status_code == 200


def test_more_slots_take_more_holders(fleetlock):
    LockGroup.objects.update(slots=2)
    assert [fleetlock.lock(holder).status_code for holder in "abc"] == [200, 200, 409]
