"""Spread: choosing machines that fail apart, and saying how well they do."""

import itertools
from collections import Counter
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from machines.topology import Level, Location
from scheduling.roles import Spread
from scheduling.spread import choose_members, quorum_of, rank_spread, score_of, score_spread


@dataclass(frozen=True)
class Machine:
    mac: str
    domain: str
    finer: tuple[str, ...] = ()


names = st.sampled_from(["", "a", "b", "c"])
places = st.builds(Location, site=names, row=names, rack=names, chassis=names)
machines = st.lists(
    st.builds(lambda n, d, r: Machine(f"{n:04}", d, (r,)), st.integers(0, 999), names, names),
    max_size=20,
    unique_by=lambda machine: machine.mac,
)


def by_trying(candidates, count, members):
    """The same choice, one by one, in the plainest words."""
    held, chosen = Counter(members), list[Machine]()
    inside: Counter[str] = Counter()
    left = list(candidates)
    while left and len(chosen) < count:
        best = min(left, key=lambda m: (held[m.domain], not m.domain, inside[m.finer[0]], m.mac))
        left.remove(best)
        chosen.append(best)
        held[best.domain] += 1
        inside.update(best.finer)
    return tuple(chosen)


@given(machines, st.integers(0, 8), st.lists(names, max_size=4))
def test_the_heap_chooses_what_trying_each_one_chooses(candidates, count, members):
    chosen = choose_members(candidates, count, spread=Spread.PREFERRED, members=members)
    assert chosen == by_trying(candidates, count, members)


def test_inside_one_site_the_racks_are_spread_as_well():
    fleet = [Machine(f"{n}", "site:a", (f"rack:{n // 2}",)) for n in range(6)]
    chosen = choose_members(fleet, 3, spread=Spread.PREFERRED)
    assert [machine.finer[0] for machine in chosen] == ["rack:0", "rack:1", "rack:2"]
    chosen = choose_members(fleet, 2, spread=Spread.PREFERRED, finer=["rack:0"])
    assert [machine.finer[0] for machine in chosen] == ["rack:1", "rack:2"]


@given(st.lists(places, max_size=7))
def test_a_score_is_the_share_of_pairs_that_fail_apart(members):
    for one in score_spread(members):
        assert 0 <= one.score <= 100
        domains = [member.domain(one.level) for member in members]
        pairs = list(itertools.combinations(domains, 2))
        apart = sum(a != b and bool(a) and bool(b) for a, b in pairs)
        assert one.score == (round(100 * apart / len(pairs)) if pairs else 100)
        known = [count for name, count in Counter(domains).items() if name]
        assert one.largest == max(known, default=0) + domains.count("")
        left = len(members) - one.largest
        assert one.quorum_survives == (left >= quorum_of(len(members)))


def test_three_members_in_three_racks_of_one_site():
    members = [Location(site="a", rack=str(n)) for n in range(3)]
    scores = {one.level: one for one in score_spread(members)}
    assert (scores[Level.RACK].score, scores[Level.SITE].score) == (100, 0)
    assert scores[Level.RACK].quorum_survives
    assert not scores[Level.SITE].quorum_survives
    assert scores[Level.ROW].domains == {"": 3}
    assert score_of(score_spread(members), Level.CHASSIS) == 100


def test_at_the_same_score_the_other_levels_decide():
    staying = [Location("a", "1", "1"), Location("a", "1", "2")]
    near, far = Location("a", "1", "3"), Location("a", "2", "3")
    assert rank_spread([*staying, far], Level.RACK) > rank_spread([*staying, near], Level.RACK)
    beside = Location("b", "2", "", "")
    assert rank_spread([*staying, near], Level.RACK) > rank_spread([*staying, beside], Level.RACK)
