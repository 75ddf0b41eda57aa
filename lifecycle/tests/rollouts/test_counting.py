"""A question about the budget is answered by counting in the database, as a step of a rollout would
answer it from the rows; and what it costs does not grow with the fleet."""

import random
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from lifecycle.models import (
    IgnitionReport,
    LockGroup,
    Maintenance,
    PolicyMember,
    Rollout,
    RolloutMachine,
    Slot,
)
from lifecycle.rules.budget import Budget, Member
from lifecycle.services import advance_rollouts, ensure_rollouts
from lifecycle.services.away import domain_sizes, in_service, read_away, read_control_plane
from lifecycle.services.counting import budget_refusal
from lifecycle.tests.rollouts.world import World
from machines.models import Machine

pytestmark = pytest.mark.django_db

LIMITS = [
    {"max_unavailable": "2"},
    {"max_unavailable": "4"},
    {"max_unavailable": "20%"},
    {"max_unavailable": "100%", "max_unavailable_per_domain": "1"},
    {"max_unavailable": "8", "max_unavailable_per_domain": "50%"},
    {"max_unavailable": "50%", "max_unavailable_per_domain": "50%", "max_domains": 2},
    {"max_unavailable": "8", "max_domains": 3},
]


def budget_of(policy, now):
    """The same from the rows of everybody who is unavailable."""
    away = read_away(policy, now)
    return Budget(
        limits=policy.limits,
        total=in_service(policy.pk).count(),
        domain_sizes=domain_sizes(policy),
        away={pk: one.member for pk, one in away.items()},
        control_plane=read_control_plane(policy.cluster, policy.silent_seconds, now),
    )


def upset(world, dice):
    """Machines go away for each reason there is, some for several at once; some never came."""
    group = LockGroup.objects.get_or_create(name="default")[0]
    for machine in world.machines:
        fate = dice.random()
        if fate < 0.12:
            at = world.now + timedelta(hours=dice.choice([-1, 1]))
            IgnitionReport.objects.filter(pk=machine.pk).update(reported_at=at)
        elif fate < 0.2:
            Machine.objects.filter(pk=machine.pk).update(reinstall_requested_at=world.now)
        elif fate < 0.28:
            Machine.objects.filter(pk=machine.pk).update(state="installation_failed")
        elif fate < 0.36:
            IgnitionReport.objects.filter(pk=machine.pk).delete()
        if dice.random() < 0.15:
            moments = {"acquired_at": world.now, "last_seen_at": world.now}
            Slot.objects.create(group=group, holder=str(machine.pk), machine=machine, **moments)
        if dice.random() < 0.15:
            until = world.now + timedelta(hours=dice.choice([-1, 1]))
            Maintenance.objects.create(
                machine=machine, started_at=world.now, started_by="ada", until_at=until
            )
        if dice.random() < 0.1:
            PolicyMember.objects.filter(pk=machine.pk).update(domain="")
        state = dice.choice(["waiting", "waiting", "open", "updating", "failed", "done"])
        RolloutMachine.objects.filter(machine=machine).update(state=state)


@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize("seed", range(6))
def test_what_the_database_counts_is_what_the_rows_say(limits, seed):
    dice = random.Random(seed)
    world = World(workers=9, plane=3, racks=3)
    few = {"machines": [machine.uuid for machine in world.workers[:3]]}
    policies = [world.policy(selector={}, **limits), world.policy("few", selector=few, priority=9)]
    world.new_revision()
    ensure_rollouts(cluster=world.cluster, now=world.now)
    upset(world, dice)
    if seed % 3 == 0:  # places of a rollout that is over keep nobody away
        Rollout.objects.filter(policy=policies[0]).update(state="aborted")
    for policy in policies:
        budget = budget_of(policy, world.now)
        for row in PolicyMember.objects.filter(policy=policy):
            member = Member(row.machine_id, row.domain, row.is_control_plane)
            assert budget_refusal(policy, row, world.now) == budget.refusal(member)


def steps_of(call):
    """Steps of SQLite's own machine that a call takes: each row that is looked at is a few."""
    steps = [0]

    def count():
        steps[0] += 1

    connection.connection.set_progress_handler(count, 1)
    try:
        call()
    finally:
        connection.connection.set_progress_handler(None, 1)
    return steps[0]


@pytest.mark.once
@pytest.mark.parametrize(
    ("limits", "each"), [({"max_unavailable": "3"}, 8), ({"max_unavailable": "5%"}, 18)]
)
@pytest.mark.parametrize("workers", [20, 80])
def test_a_leave_looks_at_keys_of_the_fleet_only_and_at_one_date_of_each_report(
    workers, limits, each
):
    world = World(workers=workers)
    world.policy(**limits)
    world.new_revision()
    advance_rollouts(now=world.now)
    opened = next(m for m in world.workers if world.place(m).state == "open")
    assert world.leave(opened).strategy
    with CaptureQueriesContext(connection) as captured:
        world.leave(opened)
    assert len(captured) <= 12
    assert steps_of(lambda: world.leave(opened)) <= 900 + each * workers
