"""A costly value is made by one thread at a time and kept for a while."""

import threading

import pytest

from enjoliver.engine.cached import Cached


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def counting(clock, takes=0.0):
    made = []

    def make():
        made.append(clock.now)
        clock.now += takes
        return len(made)

    return make


def test_a_value_is_kept_for_its_seconds(clock):
    cached = Cached(counting(clock), seconds=5, clock=clock)
    assert cached.get() == 1
    clock.now += 4.9
    assert cached.get() == 1
    clock.now += 0.2
    assert cached.get() == 2


def test_a_value_that_took_long_rests_in_proportion(clock):
    cached = Cached(counting(clock, takes=2), seconds=5, rest=20, clock=clock)
    cached.get()
    clock.now += 39
    assert cached.get() == 1
    clock.now += 2
    assert cached.get() == 2


def test_a_forgotten_value_is_made_again(clock):
    cached = Cached(counting(clock), seconds=5, clock=clock)
    cached.get()
    cached.forget()
    assert cached.get() == 2


def test_an_error_is_raised_and_not_kept(clock):
    answers = iter([ValueError("away"), "back"])

    def make():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    cached = Cached(make, seconds=5, clock=clock)
    with pytest.raises(ValueError):
        cached.get()
    assert cached.get() == "back"


def test_while_one_thread_makes_the_value_the_others_get_the_old_one(clock):
    entered, leave = threading.Event(), threading.Event()
    values = iter(["old", "new"])

    def make():
        value = next(values)
        if value == "new":
            entered.set()
            assert leave.wait(120)
        return value

    cached = Cached(make, seconds=5, clock=clock)
    cached.get()
    clock.now += 6
    renewing = threading.Thread(target=cached.get)
    renewing.start()
    assert entered.wait(120)
    assert cached.get() == "old"
    leave.set()
    renewing.join()
    assert cached.get() == "new"


def test_without_an_old_value_all_wait_for_the_one_that_is_made(clock):
    made = []
    barrier = threading.Barrier(4)

    def make():
        made.append(1)
        return "value"

    cached = Cached(make, seconds=5, clock=clock)
    got = []

    def ask():
        barrier.wait(120)
        got.append(cached.get())

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (got, made) == (["value"] * 4, [1])
