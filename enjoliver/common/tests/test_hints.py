"""Hints: many callers, one message; a broker that is away hurts nobody."""

import pytest
from kombu.exceptions import OperationalError

from enjoliver.common import hints


class Task:
    name = "some.task"

    def __init__(self, error=None):
        self.sent, self.error = [], error

    def apply_async(self, **options):
        if self.error:
            raise self.error
        self.sent.append(options)


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

    found = Clock()
    monkeypatch.setattr(hints, "time", found)
    monkeypatch.setattr(hints, "_next_run", {})
    return found


def test_a_thousand_callers_make_one_message():
    task = Task()
    assert [hints.hint(task) for _ in range(1000)].count(True) == 1
    assert len(task.sent) == 1


def test_after_the_delay_the_next_caller_makes_one_more(clock):
    task = Task()
    hints.hint(task, delay_seconds=0.5)
    clock.now += 0.6
    assert hints.hint(task, delay_seconds=0.5)
    assert [options["countdown"] for options in task.sent] == [0.5, 0.5]


def test_tasks_do_not_hold_each_other_back():
    first, second = Task(), Task()
    second.name = "another.task"
    assert hints.hint(first)
    assert hints.hint(second)


@pytest.mark.parametrize("error", [OperationalError("refused"), ConnectionError("reset")])
def test_a_broker_that_is_away_is_logged_and_forgotten(error, caplog):
    assert hints.hint(Task(error)) is False
    assert "beat will run it" in caplog.text
