"""The pure placement rules."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from scheduling.placement import Candidate, Policy, choose_members, plan_placement, settles_at
from scheduling.roles import Spread, WaitCode

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
LONG_AGO = NOW - timedelta(hours=1)


def candidate(number: int, domain: str = "", *, age: float = 3600, bar: str = "") -> Candidate:
    mac = f"52:54:00:00:{number >> 8:02x}:{number & 255:02x}"
    return Candidate(number, mac, domain, NOW - timedelta(seconds=age), bar)


@st.composite
def fleets(draw):
    domains = st.sampled_from(["", "rack:1", "rack:2", "rack:3", "chassis:a"])
    numbers = draw(st.lists(st.integers(0, 4000), unique=True, max_size=25))
    return [
        candidate(
            number,
            draw(domains),
            age=draw(st.floats(-30, 200)),
            bar=draw(st.sampled_from(["", "", "", "address claimed twice"])),
        )
        for number in numbers
    ]


policies = st.builds(
    Policy,
    size=st.sampled_from([1, 3, 5]),
    spread=st.sampled_from([Spread.PREFERRED, Spread.REQUIRED]),
    settle_seconds=st.integers(0, 60),
)
member_lists = st.lists(st.sampled_from(["", "rack:1", "rack:2"]), max_size=5)


@given(fleets(), policies, member_lists)
def test_a_plan_never_gives_more_than_the_missing_members_and_never_a_part(fleet, policy, members):
    plan = plan_placement(policy=policy, members=members, candidates=fleet, now=NOW)
    missing = max(policy.size - len(members), 0)
    assert len(plan.control_plane) in (0, missing)
    assert not any(chosen.bar for chosen in plan.control_plane)


@given(fleets(), policies, member_lists)
def test_every_candidate_is_placed_once_or_waits_with_a_reason(fleet, policy, members):
    plan = plan_placement(policy=policy, members=members, candidates=fleet, now=NOW)
    keys = [c.key for c in (*plan.control_plane, *plan.nodes)] + list(plan.waiting)
    assert sorted(keys) == sorted(c.key for c in fleet)
    assert all(wait.reason for wait in plan.waiting.values())


@given(fleets(), policies, member_lists)
def test_nobody_becomes_a_node_before_the_control_plane_is_complete(fleet, policy, members):
    plan = plan_placement(policy=policy, members=members, candidates=fleet, now=NOW)
    if plan.nodes:
        assert len(members) + len(plan.control_plane) >= policy.size


@given(fleets(), policies, member_lists, st.randoms())
def test_the_order_of_the_candidates_does_not_matter(fleet, policy, members, dice):
    shuffled = list(fleet)
    dice.shuffle(shuffled)
    plans = [
        plan_placement(policy=policy, members=members, candidates=order, now=NOW)
        for order in (fleet, shuffled)
    ]
    assert plans[0] == plans[1]


@given(fleets(), st.integers(1, 7))
def test_preferred_spread_uses_as_many_domains_as_there_are(fleet, count):
    chosen = choose_members(fleet, count, spread=Spread.PREFERRED)
    assert len(chosen) == min(count, len(fleet))
    domains = {c.domain for c in fleet}
    assert len({c.domain for c in chosen}) == min(count, len(domains))


@given(fleets(), st.integers(1, 7))
def test_preferred_spread_is_even(fleet, count):
    """No domain holds two more than another one that had a candidate left."""
    chosen = choose_members(fleet, count, spread=Spread.PREFERRED)
    held = Counter(c.domain for c in chosen)
    for domain, available in Counter(c.domain for c in fleet).items():
        if held[domain] < available:
            assert max(held.values(), default=0) <= held[domain] + 1


@given(fleets(), member_lists, st.integers(1, 7))
def test_required_spread_never_uses_a_domain_twice_nor_an_unknown_one(fleet, members, count):
    chosen = choose_members(fleet, count, spread=Spread.REQUIRED, members=members)
    domains = [c.domain for c in chosen]
    assert "" not in domains
    assert len(set(domains)) == len(domains)
    assert not set(domains) & set(members)


def test_without_domains_the_lowest_macs_are_chosen():
    fleet = [candidate(n) for n in (9, 4, 7, 1, 8)]
    plan = plan_placement(policy=Policy(3), members=[], candidates=fleet, now=NOW)
    assert [c.key for c in plan.control_plane] == [1, 4, 7]
    assert [c.key for c in plan.nodes] == [8, 9]


def test_members_in_place_count_for_size_and_spread():
    fleet = [candidate(1, "rack:1"), candidate(2, "rack:2"), candidate(3, "rack:3")]
    plan = plan_placement(policy=Policy(3), members=["rack:1", "rack:2"], candidates=fleet, now=NOW)
    assert [c.key for c in plan.control_plane] == [3]


def test_known_domains_are_taken_before_an_unknown_one_and_that_before_a_second_of_the_same():
    fleet = [candidate(1), candidate(2, "rack:1"), candidate(3, "rack:1"), candidate(4, "rack:2")]
    chosen = choose_members(fleet, 3, spread=Spread.PREFERRED)
    assert [c.key for c in chosen] == [2, 4, 1]


def test_two_of_three_machines_wait_with_the_count():
    plan = plan_placement(
        policy=Policy(3), members=[], candidates=[candidate(1), candidate(2)], now=NOW
    )
    assert {w.reason for w in plan.waiting.values()} == {
        "control plane needs 3 machines, 2 available"
    }
    assert {w.code for w in plan.waiting.values()} == {WaitCode.CONTROL_PLANE}


def test_a_barred_machine_waits_for_the_control_plane_and_then_becomes_a_node():
    fleet = [candidate(1, bar="address claimed twice"), candidate(2)]
    waiting = plan_placement(policy=Policy(3), members=[], candidates=fleet, now=NOW).waiting
    assert waiting[1].reason.endswith("address claimed twice")
    plan = plan_placement(policy=Policy(1), members=[], candidates=fleet, now=NOW)
    assert ([c.key for c in plan.control_plane], [c.key for c in plan.nodes]) == ([2], [1])


def test_required_spread_waits_and_says_what_is_missing():
    fleet = [candidate(1, "rack:1"), candidate(2, "rack:1"), candidate(3)]
    plan = plan_placement(policy=Policy(3, Spread.REQUIRED), members=[], candidates=fleet, now=NOW)
    assert plan.waiting[1].code == WaitCode.SPREAD
    assert plan.waiting[1].reason == (
        "spread required: control plane needs 3 unused failure domains, 1 available; "
        "1 machine is in no known domain"
    )


def test_the_control_plane_settles_after_the_newest_machine():
    fleet = [candidate(n, age=20) for n in (1, 2)] + [candidate(3, age=2)]
    plan = plan_placement(policy=Policy(3), members=[], candidates=fleet, now=NOW)
    assert plan.next_at == NOW + timedelta(seconds=3)
    assert plan.waiting[1].code == WaitCode.SETTLING
    later = plan_placement(policy=Policy(3), members=[], candidates=fleet, now=plan.next_at)
    assert len(later.control_plane) == 3


def test_a_stream_of_machines_cannot_hold_up_the_control_plane_for_more_than_a_minute():
    fleet = [candidate(n, age=61) for n in (1, 2, 3)] + [candidate(4, age=0)]
    plan = plan_placement(
        policy=Policy(3, settle_seconds=60), members=[], candidates=fleet, now=NOW
    )
    assert len(plan.control_plane) == 3


def test_a_minute_counts_from_the_machine_that_made_the_set_complete():
    times = [NOW - timedelta(seconds=age) for age in (500, 400, 50, 1)]
    assert settles_at(times, 3, 60, NOW) == NOW + timedelta(seconds=10)


def test_times_from_a_clock_that_stepped_back_hold_nobody_up():
    times = [NOW + timedelta(hours=2), LONG_AGO, LONG_AGO]
    assert settles_at(times, 3, 60, NOW) <= NOW


@given(fleets(), policies)
def test_settling_always_ends(fleet, policy):
    plan = plan_placement(policy=policy, members=[], candidates=fleet, now=NOW)
    if plan.next_at:
        assert NOW < plan.next_at <= NOW + timedelta(minutes=3)
        later = plan_placement(policy=policy, members=[], candidates=fleet, now=plan.next_at)
        assert len(later.control_plane) == policy.size


def test_ten_thousand_candidates_are_chosen_from_at_once():
    dice = random.Random(1)
    fleet = [
        Candidate(n, f"{n:012x}", f"rack:{dice.randrange(300)}", LONG_AGO) for n in range(10_000)
    ]
    plan = plan_placement(policy=Policy(9), members=[], candidates=fleet, now=NOW)
    assert len({c.domain for c in plan.control_plane}) == 9
    assert len(plan.nodes) == 9_991
