"""A replacement beside a rollout: one member of the control plane changes at a time."""

from datetime import timedelta

import pytest

from enjoliver.common.errors import Conflict
from lifecycle.models import Replacement, ReplacementState, ReplacementStep
from lifecycle.services import (
    advance_replacement,
    advance_rollouts,
    skip_machine,
    start_replacement,
)
from lifecycle.tests.rollouts.world import World
from machines.services import mark_installed
from scheduling.tests.factories import make_machine

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(db):
    """Three members under a policy."""
    world = World(plane=3)
    world.policy("plane")
    return world


@pytest.fixture(autouse=True)
def spare(world):
    return make_machine(9)


def begin(world, machine):
    return start_replacement(machine=machine, actor="ada", reason="dead board", now=world.now)


def let_one_go(world):
    """The member that the rollout takes first, in the middle of its update."""
    world.new_revision()
    world.advance(60)
    first = next(one for one in world.plane if world.place(one).state == "open")
    assert world.lock(first)
    return first


def test_it_waits_for_a_member_that_gave_its_slot_back_and_has_not_reported(world):
    first = let_one_go(world)
    other = next(one for one in world.plane if one != first)
    world.unlock(first)
    with pytest.raises(Conflict, match=f"{first.boot_mac} is updating"):
        begin(world, other)
    world.apply(first)
    world.advance(120)
    assert world.place(first).state == "done"
    assert begin(world, other).step == ReplacementStep.INSTALL


def test_a_member_that_failed_in_a_rollout_is_not_counted_until_it_is_left_out(world):
    first = let_one_go(world)
    other = next(one for one in world.plane if one != first)
    world.unlock(first)
    world.rollout().machines.filter(machine=first).update(state="failed")
    with pytest.raises(Conflict, match="failed in a rollout"):
        begin(world, other)
    skip_machine(rollout=world.rollout(), machine=first, actor="ada", reason="x", now=world.now)
    assert begin(world, other).step == ReplacementStep.INSTALL


def test_an_outdated_new_member_brings_itself_up_to_date_and_then_the_others_go_on(world, spare):
    dead, second, _ = world.plane
    row = begin(world, dead)
    world.now += timedelta(seconds=60)
    world.machines = [*world.plane[1:], spare]
    world.new_revision()
    mark_installed(machine=spare, at=world.now)
    world.apply(spare)
    world.new_revision()
    world.advance(120)
    row = advance_replacement(replacement=row, now=world.now)
    assert (row.step, "another config" in row.waits_for) == (ReplacementStep.REPORT, True)
    assert world.place(spare).state == "open"
    assert world.leave(second).strategy is None
    assert world.update(spare)
    advance_rollouts(now=world.now)
    row = advance_replacement(replacement=row, now=world.now)
    assert row.state == ReplacementState.COMPLETED
    world.advance(60)
    assert Replacement.objects.filter(state=ReplacementState.RUNNING).count() == 0
    assert "open" in [world.place(one).state for one in world.plane[1:]]
