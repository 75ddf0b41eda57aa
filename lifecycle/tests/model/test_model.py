"""Any order of what machines, operators, time and workers do; `Watch` looks after each step.

The everyday run is small and always the same. MODEL_EXAMPLES=2000 (and …_STEPS=80) makes
a search of it, with new dice each time.
"""

import logging
import os
from datetime import timedelta

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from lifecycle.models import Freeze
from lifecycle.progress import Said
from lifecycle.services import (
    abort_rollout,
    add_freeze,
    apply_policy,
    confirm_stage,
    delete_policy,
    disable_strategy,
    end_maintenance,
    lift_freeze,
    pause_rollout,
    record_progress,
    resume_rollout,
    retire_machine,
    set_strategy,
    skip_machine,
    start_maintenance,
    start_rollout,
)
from lifecycle.tests.model import choices
from lifecycle.tests.model.healing import bring_up_to_date
from lifecycle.tests.model.site import Site, answered
from lifecycle.tests.model.watch import Watch
from machines.services import request_reinstall, set_labels

pytestmark = pytest.mark.django_db

EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "0"))
STEPS = int(os.environ.get("MODEL_STEPS", "30"))
PICK = st.integers(0, 11)
OFTEN = st.sampled_from([True, True, True, False])
ACTIVE = ("ready", "running", "paused")


class Story(RuleBasedStateMachine):
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

    def teardown(self):
        transaction.set_rollback(True)
        self.frame.__exit__(None, None, None)

    def one(self, pick, machines):
        """One of `machines`; None without any."""
        return machines[pick % len(machines)] if machines else None

    @initialize(
        documents=choices.sets_of_policies(),
        values=choices.VALUES,
        seconds=choices.SHORT,
        has_gates=st.booleans(),
    )
    def a_revision_under_policies(self, documents, values, seconds, has_gates):
        for document in documents:
            self.apply(document)
        for policy in self.site.policies() if has_gates else ():
            self.site.add_gate(policy)
        self.site.new_revision(values=values)
        self.site.beat(seconds)
        self.was_step = True

    @invariant()
    def what_must_hold_holds(self):
        self.age += 1
        self.watch.look(is_step=self.was_step)
        self.was_step = False

    # --- time and workers -----------------------------------------------------------------------

    @rule(seconds=choices.SHORT)
    def a_minute_passes(self, seconds):
        self.site.beat(seconds)
        self.was_step = True

    @rule(minutes=st.integers(2, 8))
    def minutes_pass(self, minutes):
        for _ in range(minutes - 1):
            self.site.beat(60)
            self.watch.look(is_step=True)
        self.site.beat(60)
        self.was_step = True

    @rule(seconds=choices.SHORT, rounds=st.integers(1, 3))
    def things_go_on(self, seconds, rounds):
        self.go_on(seconds, rounds)

    @rule(seconds=choices.SHORT, rounds=st.integers(1, 6))
    def things_go_well(self, seconds, rounds):
        self.go_on(seconds, rounds)

    @rule(seconds=choices.SHORT)
    def things_go_a_little_further(self, seconds):
        self.go_on(seconds, 1)

    @rule(seconds=choices.SHORT)
    def everybody_who_may_begins(self, seconds):
        self.site.beat(seconds)
        self.watch.look(is_step=True)
        self.all_agents_begin()

    @rule(pick=PICK, what=choices.STOPS, seconds=choices.SHORT)
    def something_comes_between_a_step_and_those_who_may_begin(self, pick, what, seconds):
        self.site.beat(seconds)
        getattr(self, what)(pick)
        self.all_agents_begin()

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

    @rule(hours=st.sampled_from([0.2, 1, 8, 30]))
    def the_engine_is_away_or_its_clock_steps_ahead(self, hours):
        self.site.now += timedelta(hours=hours)

    @rule(seconds=st.sampled_from([40, 600, 10000]))
    def the_clock_steps_back(self, seconds):
        self.site.now -= timedelta(seconds=seconds)

    @rule(late=st.sampled_from([0, 1, 70, 700]))
    def a_worker_whose_clock_is_behind_takes_a_step(self, late):
        self.site.step(now=self.site.now - timedelta(seconds=late))

    @rule(pick=PICK, what=choices.MEANWHILE, seconds=choices.SHORT)
    def a_worker_is_overtaken(self, pick, what, seconds):
        self.site.now += timedelta(seconds=seconds)
        self.site.everybody_reports()
        self.site.check_gates()
        self.site.step_overtaken_by(lambda: getattr(self, what)(pick))

    def another_worker(self, pick):
        self.site.step()

    def a_late_worker(self, pick):
        self.site.now += timedelta(seconds=400)
        self.site.everybody_reports()
        self.site.step()

    # --- machines -------------------------------------------------------------------------------

    def up(self):
        return [one for one in self.site.members if one.pk not in self.site.down]

    def gone(self):
        return [one for one in self.site.members if one.pk in self.site.down]

    def opened(self):
        let_go = self.watch.picture().by_machine
        return [one for one in self.up() if one.pk in let_go]

    @rule(pick=PICK, is_called=OFTEN)
    def an_agent_begins(self, pick, is_called):
        self.begin(pick, self.opened() if is_called else self.up())

    def all_agents_begin(self):
        for machine in self.up():
            if self.site.begin(machine):
                self.watch.granted(machine, self.site.locks[machine.pk])

    def begin(self, pick, machines=None):
        machine = self.one(pick, self.opened() if machines is None else machines)
        if machine and self.site.begin(machine):
            self.watch.granted(machine, self.site.locks[machine.pk])

    @precondition(lambda self: self.site.down)
    @rule(pick=PICK, how=choices.RETURNS)
    def a_machine_comes_back(self, pick, how):
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

    @rule()
    def all_come_back(self):
        for machine in self.gone():
            self.site.return_updated(machine)

    @rule(pick=PICK)
    def a_machine_vanishes(self, pick):
        machine = self.one(pick, self.up())
        if machine:
            self.site.down.add(machine.pk)

    @rule(pick=PICK, is_lie=OFTEN)
    def a_machine_lies(self, pick, is_lie):
        machine = self.one(pick, self.site.members)
        self.site.lie(machine) if is_lie else self.site.say_nonsense(machine)

    @rule(pick=PICK)
    def a_machine_takes_a_slot_that_asks_nobody(self, pick):
        self.take(pick)

    def take(self, pick):
        machine = self.one(pick, self.site.members)
        if self.site.take(machine, "default"):
            self.watch.granted(machine, "default")

    @rule(pick=PICK, other=PICK)
    def a_machine_asks_for_a_slot_of_another_group(self, pick, other):
        groups = self.site.groups()
        machine = self.one(pick, self.site.members)
        group = self.one(other, groups)
        is_new = (group, self.site.holder(machine)) not in self.site.slots
        if self.site.take(machine, group) and is_new:
            self.watch.granted(machine, group)

    @rule(pick=PICK, other=PICK)
    def a_machine_gives_a_slot_back(self, pick, other):
        machine = self.one(pick, self.site.members)
        self.site.give_back(machine, self.one(other, self.site.groups()))

    @rule(pick=PICK)
    def an_agent_finds_its_machine_unwell(self, pick):
        machine = self.one(pick, self.opened())
        if machine:
            said = Said("ready", "failed", "kubelet is not up", self.site.now, "", "")
            record_progress(machine=machine, said=said, now=self.site.now)

    # --- operators: rollouts --------------------------------------------------------------------

    def tell(self, service, pick, *states, **options):
        rollout = self.one(pick, self.site.rollouts(*(states or ACTIVE)))
        if rollout:
            answered(service, rollout=rollout, actor="ada", now=self.site.now, **options)

    @rule(pick=PICK)
    def an_operator_pauses(self, pick):
        self.pause(pick)

    def pause(self, pick):
        self.tell(pause_rollout, pick, reason="to look")

    @rule(pick=PICK)
    def an_operator_resumes(self, pick):
        self.tell(resume_rollout, pick, "paused", "ready")

    @rule(pick=PICK)
    def an_operator_confirms(self, pick):
        self.tell(confirm_stage, pick)

    @rule(pick=PICK, other=PICK)
    def an_operator_leaves_a_machine_out(self, pick, other):
        machine = self.one(other, self.site.members)
        self.tell(skip_machine, pick, machine=machine, reason="later")

    @rule(pick=PICK)
    def an_operator_aborts(self, pick):
        self.abort(pick)

    def abort(self, pick):
        self.tell(abort_rollout, pick, reason="bad")

    @rule(pick=PICK)
    def an_operator_starts(self, pick):
        policy = self.one(pick, self.site.policies())
        if policy:
            answered(start_rollout, policy=policy, actor="ada", now=self.site.now)

    @rule(pick=PICK)
    def an_operator_frees_a_slot(self, pick):
        slot = self.one(pick, self.site.held())
        if slot:
            self.site.release(slot)

    @rule(values=choices.VALUES)
    def content_changes(self, values):
        self.site.new_revision(values=values)

    def revise(self, pick):
        self.site.new_revision()

    @rule(pick=PICK)
    def content_goes_back(self, pick):
        """As a rollback does: an earlier one's documents under a new number."""
        self.abort(pick)
        numbers = sorted(self.site.contents)
        self.site.new_revision(content=numbers[pick % len(numbers)])

    # --- operators: rules -----------------------------------------------------------------------

    def apply(self, document):
        answered(apply_policy, document=document, actor="ada", now=self.site.now)

    @rule(document=choices.policies())
    def an_operator_changes_a_policy(self, document):
        self.apply(document)

    @rule(pick=PICK, change=choices.CHANGES)
    def an_operator_changes_a_detail(self, pick, change):
        policy = self.one(pick, self.site.policies())
        if policy:
            document = {"name": policy.name, **change}
            answered(apply_policy, document=document, actor="ada", partial=True, now=self.site.now)

    @rule(pick=PICK)
    def an_operator_deletes_a_policy(self, pick):
        policy = self.one(pick, self.site.policies())
        if policy:
            answered(delete_policy, policy=policy, actor="ada")

    @rule(pick=PICK, scope=st.sampled_from(["all", "cluster", "policy"]), minutes=choices.MINUTES)
    def an_operator_freezes(self, pick, scope, minutes):
        self.freeze(pick, scope, minutes)

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

    @rule()
    def an_operator_lifts_all_freezes(self):
        for freeze in Freeze.objects.filter(lifted_at=None):
            lift_freeze(freeze=freeze, actor="ada", now=self.site.now)

    @rule(pick=PICK)
    def an_operator_adds_a_health_gate(self, pick):
        policy = self.one(pick, self.site.policies())
        if policy:
            self.site.add_gate(policy)

    @precondition(lambda self: self.site.wells)
    @rule(pick=PICK)
    def health_flips(self, pick):
        gate = self.one(pick, sorted(self.site.wells))
        self.site.wells[gate] = not self.site.wells[gate]

    # --- operators: machines --------------------------------------------------------------------

    @rule(pick=PICK, minutes=choices.MINUTES, is_forced=OFTEN)
    def an_operator_works_on_a_machine(self, pick, minutes, is_forced):
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

    def maintain(self, pick):
        self.an_operator_works_on_a_machine(pick, None, True)

    @rule(pick=PICK)
    def an_operator_has_finished_with_a_machine(self, pick):
        end_maintenance(machine=self.one(pick, self.site.members), actor="ada")

    @rule(pick=PICK, strategy=st.sampled_from(["", "kexec", "poweroff"]))
    def an_operator_sets_a_machines_own_strategy(self, pick, strategy):
        machine = self.one(pick, self.site.members)
        if strategy:
            set_strategy(machine=machine, strategy=strategy, actor="ada")
        else:
            disable_strategy(machine=machine, actor="ada")

    @rule(pick=PICK)
    def an_operator_wants_a_reinstall(self, pick):
        machine = self.one(pick, self.site.members)
        answered(request_reinstall, machine=machine, actor="ada", reason="new disk")

    @rule(pick=PICK, success=OFTEN)
    def a_machine_installs_itself(self, pick, success):
        waiting = [
            one
            for one in self.site.members
            if self.watch.seen.machines[one.pk].installed_at is None
        ]
        machine = self.one(pick, waiting)
        if machine:
            self.site.install(machine, success)

    @rule(pick=PICK)
    def an_operator_retires_a_machine(self, pick):
        self.retire(pick)

    def retire(self, pick):
        if len(self.site.members) < len(self.site.machines) - 1:
            return
        machine = self.one(pick, self.site.members)
        if answered(retire_machine, machine=machine, actor="ada", reason="old"):
            self.site.retired.add(machine.pk)
            self.site.forget_slots_of(machine)

    @rule(pick=PICK, rack=st.sampled_from(["0", "1", "2"]))
    def a_machine_moves_to_another_rack(self, pick, rack):
        machine = self.one(pick, self.site.members)
        set_labels(machine=machine, labels={"rack": rack}, actor="ada")

    # --- the end --------------------------------------------------------------------------------

    @precondition(lambda self: self.age > STEPS // 2)
    @rule()
    def all_is_mended_and_comes_to_its_end(self):
        self.age = 0
        bring_up_to_date(self.site, self.watch)


@pytest.fixture
def quiet():
    """Thousands of events would only hide the story that failed."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(("plane", "workers", "share"), [(3, 5, 2), (5, 3, 1), (1, 3, 1)])
def test_no_order_of_events_breaks_what_policies_promise(plane, workers, share):
    class OnThisSite(Story):
        base = Site(plane=plane, workers=workers, racks=3)

    run_state_machine_as_test(
        OnThisSite,
        settings=settings(
            max_examples=EXAMPLES or 4 * share,
            stateful_step_count=STEPS,
            derandomize=not EXAMPLES,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
            print_blob=True,
        ),
    )
