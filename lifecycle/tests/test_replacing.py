"""The pure rules of replacing a control-plane member."""

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lifecycle.replacing import (
    SILENT_AFTER,
    MemberFacts,
    NewcomerFacts,
    judge_replacement,
    why_not_installed,
    why_not_reporting,
)
from lifecycle.tests.factories import NOON

SECOND = timedelta(seconds=1)


def member(number, **changes):
    facts: dict[str, Any] = {"is_installed": True, "reported_at": NOON} | changes
    return MemberFacts(number, f"mac-{number}", **facts)


def judge(*members, leaving=1, at=NOON):
    return judge_replacement(members, leaving, at)


def test_one_dead_of_three_may_be_replaced():
    dead = member(1, reported_at=NOON - SILENT_AFTER - SECOND)
    assert judge(dead, member(2), member(3)).obstacles == ()
    assert judge(dead, member(2), member(3)).warnings == ()


def test_a_member_that_still_works_may_be_replaced_and_the_operator_is_told():
    judged = judge(member(1), member(2), member(3))
    assert judged.obstacles == ()
    assert "still works" in judged.warnings[0]


def test_without_a_quorum_left_nobody_is_replaced_and_the_others_are_named():
    silent = member(2, reported_at=NOON - SILENT_AFTER - SECOND)
    judged = judge(member(1), silent, member(3))
    assert "1 of 3 members would be left and a quorum needs 2" in judged.obstacle
    assert "mac-2 is silent since 2026-01-05" in judged.obstacle


def test_a_control_plane_of_one_cannot_be_replaced():
    assert "one member" in judge(member(1)).obstacle


def test_a_machine_that_is_no_member_any_more_is_an_obstacle_and_no_crash():
    judged = judge(member(2), member(3), member(4), leaving=1)
    assert judged.obstacle == "it is no member of the control plane any more"


def test_another_member_that_is_updating_stops_it():
    five = [member(number) for number in range(1, 5)]
    judged = judge(*five, member(5, holds_slot=True))
    assert judged.obstacle == "mac-5 holds an update slot: one member changes at a time"


def test_another_member_that_gave_its_slot_back_and_has_not_reported_yet_stops_it():
    five = [member(number) for number in range(1, 5)]
    judged = judge(*five, member(5, is_updating=True))
    assert judged.obstacle == "mac-5 is updating: one member changes at a time"


def test_who_failed_in_a_rollout_or_reported_from_the_future_is_not_counted_on():
    failed, early = member(2, has_failed=True), member(3, reported_at=NOON + SILENT_AFTER + SECOND)
    judged = judge(member(1), failed, early)
    assert "0 of 3 members would be left" in judged.obstacle
    assert "mac-2 failed in a rollout; mac-3 is silent since" in judged.obstacle


def test_its_own_slot_and_an_even_number_are_worth_a_word():
    judged = judge(member(1, holds_slot=True), member(2), member(3), member(4))
    assert len(judged.warnings) == 2
    assert judged.obstacles == ()


members = st.lists(
    st.tuples(st.booleans(), st.one_of(st.none(), st.integers(0, 3600)), st.booleans()),
    min_size=1,
    max_size=7,
)


@given(members)
def test_whatever_is_allowed_leaves_a_quorum_of_members_that_can_be_counted_on(drawn):
    fleet = [
        MemberFacts(
            number,
            f"mac-{number}",
            is_installed=installed,
            reported_at=None if age is None else NOON - age * SECOND,
            holds_slot=slot,
        )
        for number, (installed, age, slot) in enumerate(drawn)
    ]
    judged = judge_replacement(fleet, 0, NOON)
    if not judged.obstacles:
        left = [one for one in fleet[1:] if not one.absence(NOON)]
        assert len(left) > len(fleet) // 2
        assert not any(one.holds_slot for one in fleet[1:])


def newcomer(**changes):
    facts: dict[str, Any] = {
        "is_installed": True,
        "install_failed": False,
        "install_stalled": False,
        "waits_at_gate": False,
        "reported_at": NOON,
        "is_up_to_date": True,
    }
    return NewcomerFacts("mac-9", **(facts | changes))


def test_a_newcomer_says_what_it_waits_for():
    away = {"is_installed": False}
    assert "switched on" in why_not_installed(newcomer(**away))
    assert "install gate" in why_not_installed(newcomer(**away, waits_at_gate=True))
    assert "failed" in why_not_installed(newcomer(**away, install_failed=True))
    assert "fell silent" in why_not_installed(newcomer(**away, install_stalled=True))
    assert why_not_installed(newcomer()) == ""
    later = NOON + SECOND
    assert "not reported yet" in why_not_reporting(newcomer(reported_at=None), NOON, later)
    assert "not reported yet" in why_not_reporting(newcomer(), later, later)
    assert "another config" in why_not_reporting(newcomer(is_up_to_date=False), NOON, later)
    assert why_not_reporting(newcomer(), NOON, later) == ""


def test_behind_a_step_back_of_the_clock_the_present_reports_of_a_newcomer_count():
    installed_at = NOON + timedelta(hours=5)
    assert why_not_reporting(newcomer(), installed_at, NOON + SECOND) == ""
    for reported_at in (installed_at - SECOND, NOON - SILENT_AFTER):
        stale = newcomer(reported_at=reported_at)
        assert "not reported yet" in why_not_reporting(stale, installed_at, NOON + SECOND)
