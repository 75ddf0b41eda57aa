"""What rollouts cost: queries do not grow with the fleet."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from lifecycle.services import advance_rollouts, ensure_rollouts
from lifecycle.tests.rollouts.world import World

pytestmark = [pytest.mark.django_db, pytest.mark.once]


def queries_of(call):
    with CaptureQueriesContext(
        connection,
    ) as captured:
        call()
    return len(captured)


@pytest.mark.parametrize("workers", [3, 30])
def test_a_step_costs_the_same_for_few_and_for_many(workers):
    world = World(workers=workers)
    world.policy(max_unavailable="100%", canary_count=1)
    world.new_revision()
    assert queries_of(lambda: ensure_rollouts(cluster=world.cluster, now=world.now)) <= 10
    first = queries_of(lambda: advance_rollouts(now=world.now))
    world.update(next(m for m in world.workers if world.place(m).state == "open"))
    steps = []
    for _ in range(3):
        world.now += timedelta(seconds=10)
        steps.append(queries_of(lambda: advance_rollouts(now=world.now)))
    assert world.states().count("open") == workers - 1
    assert first <= 65
    assert max(steps) <= 60


def test_an_idle_step_and_a_leave_are_cheap():
    world = World(workers=5)
    world.policy()
    world.new_revision()
    advance_rollouts(now=world.now)
    idle = queries_of(lambda: advance_rollouts(now=world.now))
    assert idle <= 36
    opened = next(m for m in world.workers if world.place(m).state == "open")
    other = next(m for m in world.workers if m != opened)
    assert queries_of(lambda: world.leave(other)) <= 5
    assert queries_of(lambda: world.leave(opened)) <= 12
