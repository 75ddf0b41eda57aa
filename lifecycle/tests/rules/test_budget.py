"""Budgets: no sequence of takes breaks a limit, and refusals say why."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from lifecycle.rules.amounts import Amount
from lifecycle.rules.budget import (
    Budget,
    ControlPlane,
    Limits,
    Member,
    Tally,
    admit,
    quorum_of,
)
from lifecycle.tests.rules.snapshots import breaks

amounts = st.builds(Amount, st.integers(1, 6)) | st.builds(
    Amount, st.integers(1, 100), is_percent=st.just(True)
)
limits = st.builds(
    Limits,
    max_unavailable=amounts,
    per_domain=st.none() | amounts,
    max_domains=st.integers(0, 3),
    accepts_downtime=st.booleans(),
)
fleets = st.lists(
    st.tuples(st.sampled_from(["", "rack:1", "rack:2", "rack:3"]), st.booleans()),
    min_size=1,
    max_size=20,
).map(lambda parts: [Member(number, *part) for number, part in enumerate(parts)])


def budget(members, away=(), limits=Limits(Amount(99)), plane=None):  # noqa: B008
    sizes = Counter(member.domain for member in members)
    control_plane = [member.machine_id for member in members if member.is_control_plane]
    plane = plane or ControlPlane(
        size=max(1, len(control_plane)),
        available=frozenset(control_plane) - frozenset(away),
    )
    gone = {pk: members[pk] for pk in away}
    return Budget(limits, len(members), sizes, gone, plane)


@given(fleets, limits, st.lists(st.integers(0, 19)), st.sets(st.integers(0, 19), max_size=4))
def test_whoever_is_taken_and_in_whatever_order_the_limits_hold(members, limits, order, away):
    one = budget(members, {pk for pk in away if pk < len(members)}, limits)
    sizes = Counter(member.domain for member in members)
    for number in order:
        member = members[number % len(members)]
        if not one.take(member):
            assert not breaks(limits, len(members), sizes, list(one.away.values()))


@given(fleets, limits, st.lists(st.integers(0, 19)), st.sets(st.integers(0, 19), max_size=4))
def test_of_the_control_plane_one_is_taken_and_a_quorum_stays(members, limits, order, away):
    one = budget(members, {pk for pk in away if pk < len(members)}, limits)
    taken = {
        members[n % len(members)].machine_id
        for n in order
        if members[n % len(members)].is_control_plane and not one.take(members[n % len(members)])
    }
    assert len(taken) <= 1
    plane = one.control_plane
    if taken and plane.size > 1:
        assert len(plane.available - taken) >= quorum_of(plane.size)
    if taken and plane.size == 1:
        assert limits.accepts_downtime


@given(fleets, limits)
def test_a_refusal_counts_nobody(members, limits):
    one = budget(members, limits=limits)
    for member in members:
        before = dict(one.away)
        if one.take(member):
            assert one.away == before


@given(fleets, limits, st.sets(st.integers(0, 19), max_size=9))
def test_a_tally_of_who_is_away_refuses_whom_the_budget_refuses_and_says_the_same(
    members, limits, away
):
    one = budget(members, {pk for pk in away if pk < len(members)}, limits)
    counted = Counter(member.domain for member in one.away.values())
    tally = Tally(limits, one.total, one.domain_sizes, counted, one.control_plane)
    for member in members:
        is_counted = member.machine_id in one.away
        assert tally.refusal(member, is_counted=is_counted) == one.refusal(member)


def test_a_quorum_is_more_than_half():
    assert [quorum_of(size) for size in (1, 2, 3, 4, 5)] == [1, 2, 2, 3, 3]


def members_of(*domains):
    return [Member(number, domain) for number, domain in enumerate(domains)]


def test_one_of_an_unknown_place_counts_as_a_domain_of_its_own():
    one = budget(members_of("", "", "rack:1"), limits=Limits(Amount(9), max_domains=2))
    taken, refused = admit(one, members_of("", "", "rack:1"))
    assert [member.machine_id for member in taken] == [0, 1]
    assert (
        refused[2]
        == "machines of 2 unknown places are unavailable, and max_domains allows 2 at once"
    )


def test_a_domain_that_has_too_many_away_stops_the_others_as_well():
    members = members_of("rack:1", "rack:1", "rack:2")
    one = budget(members, {0, 1}, Limits(Amount(9), per_domain=Amount(1)))
    assert "2 machines of rack:1 are unavailable" in one.take(members[2])


def test_one_that_is_away_already_adds_nothing():
    members = members_of("", "")
    one = budget(members, {0}, Limits(Amount(1)))
    assert one.take(members[0]) == ""
    assert one.take(members[1]).startswith("1 of 2 machines are unavailable")


class TestControlPlane:
    def plane(self, size=3, available=(0, 1, 2), moving=()):
        return ControlPlane(size, frozenset(available), frozenset(moving))

    def why(self, plane, *, accepts_downtime=False):
        return plane.refusal(0, accepts_downtime=accepts_downtime)

    def test_a_healthy_member_of_three_may_go(self):
        assert self.why(self.plane()) == ""

    def test_not_while_another_one_changes(self):
        assert "only one does at a time" in self.why(self.plane(moving=(1,)))

    def test_itself_is_no_other_one(self):
        assert self.why(self.plane(available=(1, 2), moving=(0,))) == ""

    def test_not_below_the_quorum(self):
        assert self.why(self.plane(available=(0, 1))).startswith("1 of 3 members")

    def test_a_member_that_is_not_assigned_is_not_there(self):
        assert "needs 3" in self.why(self.plane(size=5, available=(0, 1, 2)))

    def test_one_alone_only_with_its_downtime_accepted(self):
        alone = self.plane(size=1, available=(0,))
        assert "accepts_downtime" in self.why(alone)
        assert self.why(alone, accepts_downtime=True) == ""
