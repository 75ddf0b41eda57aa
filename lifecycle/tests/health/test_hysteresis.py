"""When a run of results makes a health gate healthy, and what it says at a moment."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.rules.health import (
    HEALTHY,
    UNHEALTHY,
    UNKNOWN,
    Health,
    Pace,
    after_result,
    is_due,
    verdict_of,
)

NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
STEP = timedelta(seconds=10)
PACE = Pace(STEP, healthy_after=3, unhealthy_after=2)


def run(results, pace=PACE, health=None, start=NOON):
    """The states after each of the results, which come one interval apart."""
    found = []
    for number, is_good in enumerate(results):
        at = start + number * pace.interval
        health = after_result(
            health or Health(), pace, is_good=is_good, message="said", checked_at=at
        )
        found.append(health)
    return found


def last(results, pace=PACE):
    """The state after all of them; unknown without any."""
    found = run(results, pace)
    return found[-1] if found else Health()


def states(results, **more):
    return [health.state for health in run(results, **more)]


def test_a_gate_becomes_healthy_after_so_many_good_results_in_a_row():
    assert states([True, True, True]) == [UNKNOWN, UNKNOWN, HEALTHY]
    assert states([True, True, False, True, True, True])[-3:] == [UNKNOWN, UNKNOWN, HEALTHY]


def test_one_bad_result_does_not_make_it_unhealthy_where_two_are_needed():
    assert states([True, True, True, False, True, False, False])[2:] == [
        HEALTHY,
        HEALTHY,
        HEALTHY,
        HEALTHY,
        UNHEALTHY,
    ]


def test_an_unhealthy_gate_needs_the_whole_run_of_good_results_again():
    assert states([False, False, True, True, True]) == [
        UNKNOWN,
        UNHEALTHY,
        UNHEALTHY,
        UNHEALTHY,
        HEALTHY,
    ]


def test_a_result_long_after_the_last_one_begins_from_unknown():
    (*_, healthy) = run([True, True, True])
    later = NOON + 2 * STEP + 3 * STEP + timedelta(seconds=1)
    again = after_result(healthy, PACE, is_good=True, message="", checked_at=later)
    assert (again.state, again.streak) == (UNKNOWN, 1)


def test_only_a_fresh_healthy_state_is_healthy():
    (*_, health) = run([True, True, True])
    at = health.checked_at
    assert verdict_of("etcd", health, PACE, at + 3 * STEP).is_healthy
    late = verdict_of("etcd", health, PACE, at + 3 * STEP + timedelta(seconds=1))
    assert not late.is_healthy
    assert late.message == "its last result is of 2026-01-05 12:00:20 UTC: too old to count"


def test_a_result_from_the_future_says_nothing():
    (*_, health) = run([True, True, True])
    before = health.checked_at - STEP - timedelta(seconds=1)
    assert not verdict_of("etcd", health, PACE, before).is_healthy
    assert is_due(health, PACE, before)
    assert verdict_of("etcd", health, PACE, before + timedelta(seconds=2)).is_healthy


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ([], "it has not been checked yet"),
        ([True], "1 of 3 good results: said"),
        ([False], "said"),
        ([False, False], "said"),
        ([False, False, True], "failed before, 1 of 3 good results since"),
    ],
)
def test_what_is_not_healthy_says_why(results, message):
    health = last(results)
    verdict = verdict_of("etcd", health, PACE, health.checked_at or NOON)
    assert (verdict.name, verdict.is_healthy, verdict.message) == ("etcd", False, message)


def test_a_check_that_began_before_the_last_machine_was_done_does_not_count():
    (*_, health) = run([True, True, True])
    at = health.checked_at
    assert verdict_of("etcd", health, PACE, at, done_at=at - STEP).is_healthy
    assert verdict_of("etcd", health, PACE, at, done_at=at).is_healthy
    verdict = verdict_of("etcd", health, PACE, at + STEP, done_at=at + timedelta(seconds=1))
    assert verdict.message == "it has not been checked since the last machine was done"


def test_a_gate_is_due_at_its_interval_and_when_a_machine_was_done():
    assert is_due(Health(), PACE, NOON)
    (health,) = run([True])
    soon = NOON + timedelta(seconds=9)
    assert not is_due(health, PACE, soon)
    assert not is_due(health, PACE, soon, done_at=NOON)
    assert is_due(health, PACE, soon, done_at=NOON + timedelta(seconds=1))
    assert is_due(health, PACE, NOON + STEP)


paces = st.builds(
    Pace, st.just(STEP), healthy_after=st.integers(1, 5), unhealthy_after=st.integers(1, 5)
)


@given(paces, st.lists(st.booleans(), max_size=40))
def test_a_state_changes_only_after_the_run_that_is_asked_for(pace, results):
    before = UNKNOWN
    for number, health in enumerate(run(results, pace)):
        if health.state != before:
            is_good = health.state == HEALTHY
            needed = pace.healthy_after if is_good else pace.unhealthy_after
            assert results[number + 1 - needed : number + 1] == [is_good] * needed
        before = health.state


@given(paces, st.lists(st.booleans(), max_size=40), st.integers(-100, 100))
def test_a_gate_whose_last_run_is_bad_never_says_that_it_is_healthy(pace, results, seconds):
    health = last(results, pace)
    now = (health.checked_at or NOON) + timedelta(seconds=seconds)
    verdict = verdict_of("etcd", health, pace, now)
    if verdict.is_healthy:
        assert True in results
        assert results[-pace.unhealthy_after :] != [False] * pace.unhealthy_after
    else:
        assert verdict.message
