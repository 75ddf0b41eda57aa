"""Any order of what machines, operators, time and workers do; `Watch` looks after each step.

The everyday run is small and always the same. MODEL_EXAMPLES=2000 (and …_STEPS=80) makes
a search of it, with new dice each time.
"""

import logging
import os
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from lifecycle.models import Freeze, StrategyName
from lifecycle.progress import Said
from lifecycle.services import (
    apply_policy,
    confirm_stage,
    delete_policy,
    disable_strategy,
    end_maintenance,
    lift_freeze,
    record_progress,
    resume_rollout,
    set_strategy,
    skip_machine,
    start_rollout,
)
from lifecycle.tests.model import choices
from lifecycle.tests.model.healing import bring_up_to_date
from lifecycle.tests.model.replacing import OFTEN, PICK, Replacing
from lifecycle.tests.model.site import Site
from lifecycle.tests.model.spares import answered
from machines.services import request_reinstall, set_labels

pytestmark = pytest.mark.django_db

EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "0"))
STEPS = int(os.environ.get("MODEL_STEPS", "30"))


class Story(Replacing, RuleBasedStateMachine):
    """One story with everything that can happen."""

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

    # --- machines -------------------------------------------------------------------------------

    @rule(pick=PICK, is_called=OFTEN)
    def an_agent_begins(self, pick, is_called):
        self.begin(pick, self.opened() if is_called else self.up())

    @precondition(lambda self: self.site.down)
    @rule(pick=PICK, how=choices.RETURNS)
    def a_machine_comes_back(self, pick, how):
        self.come_back(pick, how)

    @rule()
    def all_machines_come_back(self):
        self.all_come_back()

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

    @rule(pick=PICK)
    def an_operator_pauses(self, pick):
        self.pause(pick)

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

    @rule(pick=PICK)
    def content_goes_back(self, pick):
        """As a rollback does: an earlier one's documents under a new number."""
        self.abort(pick)
        numbers = sorted(self.site.contents)
        self.site.new_revision(content=numbers[pick % len(numbers)])

    # --- operators: rules -----------------------------------------------------------------------

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
        self.maintain(pick, minutes, is_forced)

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


class Exchange(Replacing, RuleBasedStateMachine):
    """One story in which members of the control plane are replaced all the time."""

    @initialize(document=choices.policies(("plane", "all")), has_policy=OFTEN)
    def a_revision_for_a_control_plane(self, document, has_policy):
        if has_policy:
            self.apply(document)
        self.site.new_revision()
        self.site.beat(60)
        self.was_step = True

    @rule(seconds=choices.SHORT)
    def a_minute_passes(self, seconds):
        self.site.beat(seconds)
        self.was_step = True

    @rule(seconds=choices.SHORT)
    def everybody_who_may_begins(self, seconds):
        self.site.beat(seconds)
        self.watch.look(is_step=True)
        self.all_agents_begin()

    @rule(minutes=st.sampled_from([5, 11]))
    def the_clock_jumps(self, minutes):
        self.site.now += timedelta(minutes=minutes)

    @rule(seconds=st.sampled_from([40, 10000]))
    def the_clock_steps_back(self, seconds):
        self.site.now -= timedelta(seconds=seconds)

    @rule(pick=PICK, what=choices.MEANWHILE)
    def a_worker_is_overtaken(self, pick, what):
        self.site.now += timedelta(seconds=30)
        self.site.everybody_reports()
        self.site.step_overtaken_by(lambda: getattr(self, what)(pick))

    @rule(pick=PICK)
    def a_machine_vanishes(self, pick):
        machine = self.one(pick, self.up())
        if machine:
            self.site.down.add(machine.pk)

    @precondition(lambda self: self.site.down)
    @rule(pick=PICK, how=choices.RETURNS)
    def a_machine_comes_back(self, pick, how):
        self.come_back(pick, how)

    @rule()
    def all_machines_come_back(self):
        self.all_come_back()

    @rule(pick=PICK)
    def a_machine_takes_a_slot_that_asks_nobody(self, pick):
        self.take(pick)

    @rule(pick=PICK, is_forced=OFTEN)
    def an_operator_works_on_a_machine(self, pick, is_forced):
        self.maintain(pick, 30, is_forced)

    @rule(pick=PICK)
    def an_operator_sets_a_machines_own_strategy(self, pick):
        machine = self.one(pick, self.site.members)
        set_strategy(machine=machine, strategy=StrategyName.KEXEC, actor="ada")

    @rule()
    def content_changes(self):
        self.site.new_revision()

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


def tell(stories, examples):
    """Run stories, so many in the everyday run."""
    run_state_machine_as_test(
        stories,
        settings=settings(
            max_examples=EXAMPLES or examples,
            stateful_step_count=STEPS,
            derandomize=not EXAMPLES,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
            print_blob=True,
        ),
    )


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    ("plane", "workers", "spares", "examples"), [(3, 5, 1, 5), (5, 3, 1, 3), (1, 3, 0, 3)]
)
def test_no_order_of_events_breaks_what_policies_promise(plane, workers, spares, examples):
    class OnThisSite(Story):
        base = Site(plane=plane, workers=workers, racks=3, spares=spares)

    tell(OnThisSite, examples)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(("plane", "examples"), [(3, 4), (5, 2)])
def test_no_order_of_events_breaks_a_control_plane_whose_members_are_replaced(plane, examples):
    class OnThisSite(Exchange):
        base = Site(plane=plane, workers=1, racks=3, spares=3)

    tell(OnThisSite, examples)
