"""The pure FleetLock semaphore."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.semaphore import Semaphore, SemaphoreFull

HOLDERS = st.sampled_from(["a", "A", "b", "c", "d"])
MOVES = st.lists(st.tuples(st.sampled_from(["lock", "unlock"]), HOLDERS), max_size=40)


@given(slots=st.integers(0, 3), moves=MOVES)
def test_no_sequence_of_moves_exceeds_the_slots(slots, moves):
    semaphore = Semaphore(slots)
    for move, holder in moves:
        try:
            semaphore = (
                semaphore.recursive_lock(holder)
                if move == "lock"
                else semaphore.unlock_if_held(holder)
            )
        except SemaphoreFull:
            assert holder not in semaphore.holders
        assert len(semaphore.holders) <= slots


@given(slots=st.integers(0, 3), held=st.frozensets(HOLDERS), holder=HOLDERS)
def test_unlocking_is_idempotent_and_touches_nobody_else(slots, held, holder):
    once = Semaphore(slots, held).unlock_if_held(holder)
    assert once == once.unlock_if_held(holder)
    assert once.holders == held - {holder}


@given(slots=st.integers(0, 3), held=st.frozensets(HOLDERS, min_size=1))
def test_a_holder_locks_again_even_when_full(slots, held):
    semaphore = Semaphore(slots, held)
    assert all(semaphore.recursive_lock(holder) == semaphore for holder in held)


def test_ids_are_case_sensitive():
    with pytest.raises(SemaphoreFull):
        Semaphore(1, frozenset({"a"})).recursive_lock("A")


def test_fewer_slots_than_holders_throw_nobody_out():
    semaphore = Semaphore(1, frozenset({"a", "b"}))
    assert semaphore.recursive_lock("b") == semaphore
    with pytest.raises(SemaphoreFull):
        semaphore.unlock_if_held("a").recursive_lock("c")
