"""What the model's stories are told with: what happens, without when it may."""

from datetime import timedelta

from django.db import transaction
from hypothesis.stateful import invariant

from lifecycle.services import (
    abort_rollout,
    add_freeze,
    apply_policy,
    pause_rollout,
    retire_machine,
    start_maintenance,
)
from lifecycle.tests.model.site import Site
from lifecycle.tests.model.spares import answered
from lifecycle.tests.model.watch import Watch

ACTIVE = ("ready", "running", "paused")


class Telling:
    """One story; `base` is the site as all of them begin, and everything is undone at the end."""

    base: Site

    def __init__(self):
        super().__init__()
        self.frame = transaction.atomic()
        self.frame.__enter__()
        self.site = self.base.fork()
        self.watch = Watch(self.site)
        self.age = 0
        self.was_step = False
        self.has_retired = False

    def teardown(self):
        transaction.set_rollback(True)
        self.frame.__exit__(None, None, None)

    def one(self, pick, machines):
        """One of `machines`; None without any."""
        return machines[pick % len(machines)] if machines else None

    @invariant()
    def what_must_hold_holds(self):
        self.age += 1
        self.watch.look(is_step=self.was_step, asks_why=True)
        self.was_step = False

    # --- machines -------------------------------------------------------------------------------

    def up(self):
        return [one for one in self.site.members if one.pk not in self.site.down]

    def gone(self):
        return [one for one in self.site.members if one.pk in self.site.down]

    def opened(self):
        let_go = self.watch.picture().by_machine
        return [one for one in self.up() if one.pk in let_go]

    def all_agents_begin(self):
        for machine in self.up():
            if self.site.begin(machine):
                self.watch.granted(machine, self.site.locks[machine.pk])

    def begin(self, pick, machines=None):
        machine = self.one(pick, self.opened() if machines is None else machines)
        if machine and self.site.begin(machine):
            self.watch.granted(machine, self.site.locks[machine.pk])

    def come_back(self, pick, how):
        site, machine = self.site, self.one(pick, self.gone())
        if machine is None:
            return
        site.come_up(machine)
        if how == "updated":
            site.return_updated(machine)
        elif how in ("outdated", "lying"):
            site.report(machine) if how == "outdated" else site.lie(machine)
            site.give_back_remembered(machine)
        elif how == "mute":
            site.give_back_remembered(machine)
        elif how == "keeps its slot":
            site.apply(machine)
            site.report(machine)

    def all_come_back(self):
        for machine in self.gone():
            self.site.return_updated(machine)

    def take(self, pick):
        machine = self.one(pick, self.site.members)
        if self.site.take(machine, "default"):
            self.watch.granted(machine, "default")

    # --- time and workers -----------------------------------------------------------------------

    def fail_health(self, pick):
        self.site.wells = dict.fromkeys(self.site.wells, False)
        self.site.check_gates()

    def let_time_pass(self, pick):
        self.site.now += timedelta(minutes=5 * pick)
        self.site.everybody_reports()

    def go_on(self, seconds, rounds):
        """What happens nearly always, while nothing goes wrong."""
        for _ in range(rounds):
            self.site.beat(seconds)
            self.watch.look(is_step=True)
            self.all_agents_begin()
            self.watch.look()
            self.all_come_back()
        self.site.beat(5)
        self.was_step = True

    def another_worker(self, pick):
        self.site.step()

    def a_late_worker(self, pick):
        self.site.now += timedelta(seconds=400)
        self.site.everybody_reports()
        self.site.step()

    # --- operators ------------------------------------------------------------------------------

    def apply(self, document):
        answered(apply_policy, document=document, actor="ada", now=self.site.now)

    def revise(self, pick):
        self.site.new_revision()

    def tell(self, service, pick, *states, **options):
        rollout = self.one(pick, self.site.rollouts(*(states or ACTIVE)))
        if rollout:
            answered(service, rollout=rollout, actor="ada", now=self.site.now, **options)

    def pause(self, pick):
        self.tell(pause_rollout, pick, reason="to look")

    def abort(self, pick):
        self.tell(abort_rollout, pick, reason="bad")

    def freeze(self, pick, scope="all", minutes=None):
        site = self.site
        policy = self.one(pick, site.policies()) if scope == "policy" else None
        add_freeze(
            reason="no",
            actor="ada",
            cluster=site.cluster if scope == "cluster" else None,
            policy=policy,
            ends_at=site.now + timedelta(minutes=minutes) if minutes else None,
            now=site.now,
        )

    def maintain(self, pick, minutes=None, is_forced=True):
        until = self.site.now + timedelta(minutes=minutes) if minutes else None
        answered(
            start_maintenance,
            machine=self.one(pick, self.site.members),
            actor="ada",
            reason="fans",
            until_at=until,
            is_forced=is_forced,
            now=self.site.now,
        )

    def retire(self, pick):
        if self.has_retired:
            return
        machine = self.one(pick, self.site.members)
        if answered(retire_machine, machine=machine, actor="ada", reason="old"):
            self.has_retired = True
            self.site.retired.add(machine.pk)
            self.site.forget_slots_of(machine.pk)

    def replace(self, pick, spare=None):
        """A member of the control plane is replaced, rather one that is away."""
        plane = self.watch.picture().plane()
        members = [one for one in self.site.machines if one.pk in plane]
        away = [one for one in members if one.pk in self.site.down]
        machine = self.one(pick, away * 3 + members)
        self.site.replace(machine, spare)
