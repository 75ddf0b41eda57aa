"""Rollouts under several workers, machines and operators at once."""

import pytest

from enjoliver.common.errors import Conflict, EngineError
from lifecycle.models import LockGroup, RollingPolicy, Rollout, RolloutMachine, Slot
from lifecycle.services import (
    abort_rollout,
    advance_rollout,
    advance_rollouts,
    ensure_rollouts,
    pause_rollout,
)
from lifecycle.tests.races import all_at_once
from lifecycle.tests.rollouts.world import World

pytestmark = pytest.mark.django_db(transaction=True)


def test_many_workers_make_one_rollout():
    world = World(workers=6)
    world.policy()
    world.new_revision()
    all_at_once(lambda _: ensure_rollouts(cluster=world.cluster, now=world.now), range(8))
    assert Rollout.objects.count() == 1
    assert RolloutMachine.objects.count() == 6


def test_many_steps_at_once_open_no_more_than_one_would():
    world = World(workers=8)
    world.policy(max_unavailable="3")
    world.new_revision()
    all_at_once(lambda _: advance_rollouts(now=world.now), range(8))
    advance_rollouts(now=world.now)
    assert world.states().count("open") == 3
    assert sum(world.desired(machine) == 2 for machine in world.workers) == 3


def test_steps_of_two_rollouts_at_once_take_one_member_of_the_control_plane():
    world = World(plane=3)
    for number, machine in enumerate(world.plane):
        world.policy(name=f"p{number}", selector={"machines": [machine.uuid]})
    world.new_revision()
    ensure_rollouts(cluster=world.cluster, now=world.now)
    ids = list(Rollout.objects.values_list("pk", flat=True))
    all_at_once(lambda pk: advance_rollout(rollout_id=pk, now=world.now), ids * 3)
    states = [state for rollout in Rollout.objects.all() for state in world.states(rollout)]
    assert states.count("open") == 1


def test_machines_that_take_slots_at_once_stay_within_the_budget():
    world = World(workers=8)
    world.policy(max_unavailable="3")
    world.new_revision()
    advance_rollouts(now=world.now)
    taken = all_at_once(world.lock, world.workers)
    assert sum(taken) == 3
    assert Slot.objects.count() == 3
    assert world.states().count("updating") == 3


def test_slots_and_steps_at_once_lose_nobody():
    world = World(workers=6)
    world.policy(max_unavailable="3")
    world.new_revision()
    advance_rollouts(now=world.now)

    def act(number):
        if number % 2:
            return advance_rollouts(now=world.now)
        return world.lock(world.workers[number // 2])

    all_at_once(act, range(12))
    holders = set(Slot.objects.values_list("machine_id", flat=True))
    places = RolloutMachine.objects.filter(state="updating").values_list("machine_id", flat=True)
    assert holders == set(places)


@pytest.mark.parametrize("service", [abort_rollout, pause_rollout])
def test_a_machine_that_begins_while_it_is_stopped_has_both_or_neither(service):
    world = World(workers=4)
    world.policy(max_unavailable="4")
    world.new_revision()
    advance_rollouts(now=world.now)
    rollout = world.rollout()

    def act(item):
        try:
            if item is None:
                return service(rollout=rollout, actor="ada", reason="stop", now=world.now)
            return world.lock(item)
        except EngineError:
            return False

    all_at_once(act, [*world.workers, None])
    for machine in world.workers:
        has_slot = Slot.objects.filter(machine=machine).exists()
        assert (world.place(machine).state == "updating") == has_slot
        if service is abort_rollout and not has_slot:
            assert world.desired(machine) == 1
    assert not any(world.lock(m) for m in world.workers if not m.slots.exists())


def test_one_policy_applied_many_times_at_once_is_there_once():
    world = World(workers=2)

    def act(number):
        try:
            return world.policy(priority=number)
        except Conflict:  # somebody else made it at this moment
            return None

    assert any(all_at_once(act, range(4)))
    assert LockGroup.objects.filter(name="workers").count() == 1
    assert RollingPolicy.objects.count() == 1
