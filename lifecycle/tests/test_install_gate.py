"""The install gate: queue, deadlines, clocks."""

from datetime import timedelta

import pytest

from enjoliver.common.errors import Conflict, InvalidInput
from lifecycle.models import InstallAttempt, InstallGate, InstallOutcome, InstallWaiter
from lifecycle.services import (
    Denied,
    Granted,
    ask_to_install,
    end_stalled_installs,
    prune_attempts,
    read_standing,
    release_install,
    renew_grant,
)
from lifecycle.tasks import end_stalled_installs as end_stalled_task
from lifecycle.tests.factories import NOON, AttemptFactory, query_of
from machines.models import Event
from machines.states import State
from machines.tests.factories import MachineFactory

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)


@pytest.fixture(autouse=True)
def limits(settings):
    settings.INSTALL_CONCURRENCY = 1
    settings.INSTALL_DEADLINE_SECONDS = 1800
    settings.INSTALL_QUEUE_SECONDS = 60


def ask(machine, at=0.0, source="10.64.0.11"):
    machine.refresh_from_db()
    return ask_to_install(
        machine=machine, raw_query=query_of(machine), source=source, now=NOON + at * SECOND
    )


def look_until(seconds, start=0):
    """What beat does in the meantime."""
    for moment in range(start, seconds + 1, 10):
        end_stalled_installs(now=NOON + moment * SECOND)


def test_the_first_machine_is_granted_and_the_second_is_told_who_and_where():
    first, second, third = MachineFactory.create_batch(3)
    granted = ask(first)
    assert isinstance(granted, Granted)
    assert InstallAttempt.objects.get().attempt_id == granted.attempt_id
    assert ask(second) == Denied(query_of(first), place=1, retry_after_seconds=5)
    assert ask(third) == Denied(query_of(first), place=2, retry_after_seconds=5)


def test_the_holder_is_granted_again_and_its_deadline_is_pushed():
    machine = MachineFactory.create()
    assert ask(machine) == ask(machine, at=30)
    attempt = InstallAttempt.objects.get()
    assert attempt.deadline_at == NOON + 1830 * SECOND
    assert attempt.granted_at == NOON


def renew(machine, attempt_id, at=0.0):
    return renew_grant(machine=machine, attempt_id=attempt_id, now=NOON + at * SECOND)


def test_a_long_install_keeps_its_place_while_it_says_that_it_goes_on():
    holder, waiter = MachineFactory.create_batch(2)
    granted = ask(holder)
    for moment in range(0, 7200, 600):
        look_until(moment, start=moment - 600)
        assert renew(holder, granted.attempt_id, at=moment) == granted
        assert isinstance(ask(waiter, at=moment), Denied)
    attempt = InstallAttempt.objects.get()
    assert attempt.deadline_at == NOON + (6600 + 1800) * SECOND
    assert (attempt.last_asked_at, attempt.heard_at) == (NOON, NOON + 6600 * SECOND)
    look_until(6600 + 1810, start=6600)
    assert InstallAttempt.objects.get().outcome == InstallOutcome.STALLED
    assert "13:50:00" in Event.objects.get(kind="install_stalled").message


def test_a_grant_that_ended_or_is_anothers_is_not_renewed():
    holder, other = MachineFactory.create_batch(2)
    granted = ask(holder)
    for machine, at in ((other, 1), (holder, 1811)):
        look_until(at)
        with pytest.raises(Conflict) as caught:
            renew(machine, granted.attempt_id, at=at)
        assert caught.value.kind == "grant_ended"
    assert not InstallWaiter.objects.exists()
    assert InstallAttempt.objects.get().outcome == InstallOutcome.STALLED


def look(machine, at=0.0):
    return read_standing(machine=machine, now=NOON + at * SECOND)


def test_looking_at_the_gate_tells_holder_and_queue_and_writes_nothing(
    django_assert_max_num_queries,
):
    holder, waiter, stranger = MachineFactory.create_batch(3)
    assert look(stranger).place == 1
    granted = ask(holder)
    ask(waiter, at=1)
    before = list(InstallAttempt.objects.values()), list(InstallWaiter.objects.values())
    with django_assert_max_num_queries(5):
        assert look(holder, at=2) == granted
    assert look(waiter, at=2) == Denied(query_of(holder), place=1, retry_after_seconds=5)
    assert look(stranger, at=2) == Denied(query_of(holder), place=2, retry_after_seconds=5)
    assert look(holder, at=1801).locked_by == "nobody: a place is free for whoever asks"
    assert before == (list(InstallAttempt.objects.values()), list(InstallWaiter.objects.values()))


def test_a_holder_that_asks_from_elsewhere_is_granted_and_the_operator_is_told():
    machine = MachineFactory.create()
    assert ask(machine) == ask(machine, at=1, source="10.64.0.99")
    assert InstallAttempt.objects.get().source == "10.64.0.99"
    assert Event.objects.get(kind="install_source_changed").level == "warning"


def test_states_follow_without_a_row_for_each_denial():
    first, second = MachineFactory.create_batch(2)
    for moment in range(5):
        ask(first, at=moment)
        ask(second, at=moment)
    for machine, state in ((first, State.INSTALL_GRANTED), (second, State.INSTALL_DENIED)):
        machine.refresh_from_db()
        assert machine.state == state
        assert machine.state_changes.count() == 1


def test_a_latecomer_does_not_jump_the_queue():
    holder, early, late = MachineFactory.create_batch(3)
    ask(holder)
    ask(early, at=1)
    InstallAttempt.objects.update(outcome=InstallOutcome.SUCCEEDED)
    assert ask(late, at=2) == Denied(query_of(early), place=2, retry_after_seconds=5)
    assert isinstance(ask(early, at=3), Granted)


def test_with_two_places_the_first_two_of_the_queue_enter_in_any_order(settings):
    settings.INSTALL_CONCURRENCY = 2
    one, two, three, four = MachineFactory.create_batch(4)
    ask(one), ask(two), ask(three), ask(four)
    InstallAttempt.objects.update(outcome=InstallOutcome.FAILED)
    fifth = MachineFactory.create()
    assert isinstance(ask(fifth, at=1), Denied)
    assert isinstance(ask(four, at=1), Granted)
    assert isinstance(ask(three, at=1), Granted)
    assert isinstance(ask(fifth, at=1), Denied)


def test_a_silent_waiter_drops_out_and_comes_back_at_the_end():
    holder, silent, patient = MachineFactory.create_batch(3)
    ask(holder)
    ask(silent, at=1)
    ask(patient, at=2)
    look_until(60)
    ask(patient, at=50)
    assert ask(patient, at=70).place == 1
    assert ask(silent, at=71).place == 2


def test_a_waiter_that_was_not_swept_yet_also_comes_back_at_the_end():
    holder, silent, patient = MachineFactory.create_batch(3)
    ask(holder)
    ask(silent, at=1)
    for moment in (2, 30, 58, 80):
        ask(patient, at=moment)
    assert ask(silent, at=81).place == 2


def test_the_sweep_forgets_waiters_that_dropped_out():
    holder, silent = MachineFactory.create_batch(2)
    ask(holder)
    ask(silent)
    look_until(70)
    assert not InstallWaiter.objects.exists()


def test_a_holder_silent_past_its_deadline_is_flagged_and_its_place_given_on():
    holder, waiter = MachineFactory.create_batch(2)
    ask(holder)
    look_until(1790)
    assert isinstance(ask(waiter, at=1799), Denied)
    assert isinstance(ask(waiter, at=1801), Granted)
    assert holder.install_attempts.get().outcome == InstallOutcome.STALLED
    event = Event.objects.get(kind="install_stalled")
    assert (event.machine, event.level) == (holder, "warning")


def test_beat_ends_a_silent_install_once():
    AttemptFactory.create()
    InstallGate.objects.update(checked_at=None)
    end_stalled_task()
    end_stalled_task()
    assert InstallAttempt.objects.get().outcome == InstallOutcome.STALLED
    assert Event.objects.filter(kind="install_stalled").count() == 1


def test_time_that_the_engine_did_not_see_counts_against_nobody():
    holder, first, second = MachineFactory.create_batch(3)
    ask(holder)
    ask(first, at=1)
    ask(second, at=2)
    hours = 3600 * 5
    assert ask(second, at=hours).place == 2
    assert ask(first, at=hours + 1).place == 1
    look_until(hours + 1790, start=hours)
    assert holder.install_attempts.get().outcome == InstallOutcome.OPEN
    look_until(hours + 1810, start=hours + 1800)
    assert holder.install_attempts.get().outcome == InstallOutcome.STALLED


def test_after_the_clock_stepped_back_the_holder_still_ends_in_time():
    holder, silent, patient = MachineFactory.create_batch(3)
    ask(holder)
    ask(silent, at=1)
    ask(patient, at=2)
    day = -86_400
    look_until(day + 1790, start=day)
    assert holder.install_attempts.get().outcome == InstallOutcome.OPEN
    ask(patient, at=day + 1790)
    assert isinstance(ask(patient, at=day + 1801), Granted)
    assert holder.install_attempts.get().outcome == InstallOutcome.STALLED


def test_the_queue_keeps_its_order_when_the_clock_steps_back():
    holder, first, second = MachineFactory.create_batch(3)
    ask(holder)
    ask(first, at=10)
    assert ask(second, at=-3600).place == 2
    assert ask(first, at=-3599).place == 1


def test_no_place_at_all_is_said_by_its_setting(settings):
    settings.INSTALL_CONCURRENCY = 0
    answer = ask(MachineFactory.create())
    assert isinstance(answer, Denied)
    assert answer.locked_by == "ENJOLIVER_INSTALL_CONCURRENCY=0"


def test_a_gate_that_somebody_removed_is_made_again():
    InstallGate.objects.all().delete()
    assert isinstance(ask(MachineFactory.create()), Granted)
    assert InstallGate.objects.get().site == "default"


def test_an_operator_gives_a_place_on_with_a_reason():
    attempt = AttemptFactory.create()
    with pytest.raises(InvalidInput):
        release_install(attempt=attempt, actor="ada", reason=" ")
    release_install(attempt=attempt, actor="ada", reason="its disk is dead")
    attempt.refresh_from_db()
    assert attempt.outcome == InstallOutcome.RELEASED
    assert "its disk is dead" in Event.objects.get(kind="install_released", actor="ada").message
    with pytest.raises(Conflict):
        release_install(attempt=attempt, actor="ada", reason="again")


def test_only_attempts_that_ended_long_ago_are_forgotten():
    old = AttemptFactory.create(outcome=InstallOutcome.FAILED, ended_at=NOON)
    AttemptFactory.create(outcome=InstallOutcome.FAILED, ended_at=NOON + SECOND)
    AttemptFactory.create()
    assert prune_attempts(before=NOON + SECOND) == 1
    assert not InstallAttempt.objects.filter(pk=old.pk).exists()
    assert InstallAttempt.objects.count() == 2


def test_an_ask_costs_the_same_in_a_long_queue(django_assert_max_num_queries):
    holder, *waiters = MachineFactory.create_batch(30)
    ask(holder)
    for machine in waiters:
        ask(machine)
    last = waiters[-1]
    with django_assert_max_num_queries(8):
        ask_to_install(machine=last, raw_query=query_of(last), source=None, now=NOON + SECOND)
