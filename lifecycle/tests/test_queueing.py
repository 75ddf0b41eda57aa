"""The pure rules of the install gate."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from lifecycle.queueing import (
    Correction,
    Door,
    Keys,
    Limits,
    Places,
    correct_time,
    judge_gap,
    retry_after_seconds,
)
from lifecycle.tests.factories import NOON

SECOND = timedelta(seconds=1)


keys = st.builds(
    Keys,
    site=st.sampled_from(["", "a", "b"]),
    rack=st.sampled_from(["", "r1", "r2"]),
    asset_server=st.sampled_from(["", "s"]),
)
limits = st.builds(
    Limits,
    named=st.dictionaries(
        st.sampled_from([Door("rack", "r1"), Door("site", "a"), Door("asset_server", "s")]),
        st.integers(0, 4),
    ),
    each=st.fixed_dictionaries({"site": st.integers(0, 6)}, optional={"rack": st.integers(0, 3)}),
)
queues = st.lists(keys, max_size=20)


def entering(queue, limits, holders=()):
    """Who of `queue` may enter when all of it asks at once, by index."""
    found = []
    for index, own in enumerate(queue):
        places = Places(limits, holders)
        places.keep(queue[:index])
        if places.find_shut(own) is None:
            found.append(index)
    return found


@given(queues, limits, queues)
def test_whoever_asks_first_no_limit_is_ever_exceeded(queue, limits, holders):
    inside = [*holders, *(queue[index] for index in entering(queue, limits, holders))]
    for door in {door for one in queue for door in limits.doors(one)}:
        there = sum(door in limits.doors(one) for one in inside)
        before = sum(door in limits.doors(one) for one in holders)
        assert there <= max(before, limits.of(door) or 0)


@given(queues, limits)
def test_no_place_stays_free_while_somebody_in_the_queue_could_use_it(queue, limits):
    chosen = entering(queue, limits)
    places = Places(limits, [queue[index] for index in chosen])
    for index in set(range(len(queue))) - set(chosen):
        assert places.find_shut(queue[index]) is not None


@given(queues, limits)
def test_whoever_is_ahead_at_the_same_doors_enters_first(queue, limits):
    chosen = entering(queue, limits)
    for index in chosen:
        ahead = [one for one in range(index) if queue[one] == queue[index]]
        assert set(ahead) <= set(chosen)


def test_one_full_rack_does_not_hold_up_the_machines_of_another():
    both = Limits(each={"site": 3, "rack": 1})
    queue = [Keys("a", "r1")] * 5 + [Keys("a", "r2")]
    assert entering(queue, both) == [0, 5]
    assert entering(queue, both, holders=[Keys("a", "r1")]) == [5]


def test_the_smallest_shut_door_is_named():
    both = Limits(named={Door("rack", "r2"): 0}, each={"site": 0, "rack": 1})
    assert Places(both, []).find_shut(Keys("a", "r2")) == Door("rack", "r2")
    assert Places(both, []).find_shut(Keys("a", "r1")) == Door("site", "a")


def test_without_a_limit_a_scope_has_no_door():
    assert Limits(each={"site": 1}).doors(Keys("a", "r1", "s")) == [Door("site", "a")]
    assert Limits().doors(Keys("a")) == []


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
