"""The pure rules of the install gate."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from lifecycle.queueing import (
    Correction,
    correct_time,
    judge_gap,
    may_enter,
    retry_after_seconds,
)
from lifecycle.tests.factories import NOON

SECOND = timedelta(seconds=1)


@given(concurrency=st.integers(0, 5), holders=st.integers(0, 8), queue=st.integers(0, 20))
def test_whoever_asks_first_the_places_are_never_exceeded(concurrency, holders, queue):
    entering = sum(
        may_enter(ahead=ahead, holders=holders, concurrency=concurrency) for ahead in range(queue)
    )
    assert entering <= max(0, concurrency - holders)
    assert entering == min(queue, max(0, concurrency - holders))


@given(place=st.integers(1, 10_000), patience=st.integers(1, 600))
def test_a_waiter_that_obeys_never_drops_out(place, patience):
    wait = retry_after_seconds(place=place, patience=timedelta(seconds=patience))
    assert 1 <= wait <= max(1, patience // 2)


def test_a_quiet_moment_between_two_looks_changes_nothing():
    assert judge_gap(NOON, NOON + SECOND) is None
    assert judge_gap(NOON, NOON - SECOND) is None
    assert judge_gap(NOON, NOON + 10 * SECOND) == Correction()


def test_the_first_look_corrects_nothing():
    assert judge_gap(None, NOON) == Correction()


def test_an_absence_shifts_and_a_step_back_clamps():
    assert judge_gap(NOON, NOON + timedelta(hours=2)) == Correction(shift=timedelta(hours=2))
    assert judge_gap(NOON, NOON - timedelta(hours=2)) == Correction(clamp=True)


@given(
    left=st.integers(0, 1800),
    gap=st.integers(-100_000, 100_000),
)
def test_after_any_step_of_the_clock_a_deadline_is_in_reach(left, gap):
    now = NOON + gap * SECOND
    longest = timedelta(seconds=1800)
    correction = judge_gap(NOON, now) or Correction()
    deadline = correct_time(NOON + left * SECOND, correction, now=now, longest=longest)
    assert deadline <= now + longest
    if gap > 60:
        assert deadline == now + left * SECOND
