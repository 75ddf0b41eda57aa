"""Selectors, amounts, stages, order, phases."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.rules.amounts import Amount
from lifecycle.rules.order import Place, arrange, resolve_order
from lifecycle.rules.phases import Holder, phase_of
from lifecycle.rules.selector import Selector, Subject, choose_policy
from lifecycle.rules.stages import plan_stages, stage_of
from lifecycle.tests.rules.snapshots import NOON


class TestAmounts:
    @pytest.mark.parametrize(
        ("text", "total", "expected"),
        [("1", 10, 1), ("3", 2, 3), ("10%", 50, 5), ("10%", 19, 1), ("10%", 5, 1), ("100%", 7, 7)],
    )
    def test_of_a_total(self, text, total, expected):
        assert Amount.read(text).of(total) == expected

    @pytest.mark.parametrize("text", ["", "-1", "1.5", "101%", "%", "1 ", "10 %", "9999999", "١"])
    def test_anything_else_is_refused(self, text):
        with pytest.raises(ValueError, match="expected"):
            Amount.read(text)

    def test_it_is_written_as_it_was_read(self):
        assert [str(Amount.read(text)) for text in ("3", "10%")] == ["3", "10%"]


class TestSelector:
    UUID = "4c4c4544-0000-1000-8000-000000000001"
    WORKER = Subject(
        1,
        frozenset({UUID, "52:54:00:00:00:01"}),
        frozenset({"kubernetes-node"}),
        {"rack": "3", "gpu": "yes"},
    )

    @pytest.mark.parametrize(
        ("document", "expected"),
        [
            ({}, True),
            ({"roles": ["kubernetes-node", "etcd-member"]}, True),
            ({"roles": ["etcd-member"]}, False),
            ({"labels": {"rack": "3"}}, True),
            ({"labels": {"rack": "3", "gpu": "no"}}, False),
            ({"labels": {"row": "1"}}, False),
            ({"machines": ["52-54-00-00-00-01"]}, True),
            ({"machines": [UUID.upper()]}, True),
            ({"machines": ["52:54:00:00:00:02"]}, False),
            ({"roles": ["kubernetes-node"], "labels": {"rack": "4"}}, False),
        ],
    )
    def test_all_that_is_named_must_match(self, document, expected):
        assert Selector.read(document).selects(self.WORKER) is expected

    def test_the_highest_priority_wins_then_the_name(self):
        class Policy:
            def __init__(self, name, priority, **selector):
                self.rank = (-priority, name)
                self.parsed_selector = Selector.read(selector)

        some = [Policy("b", 0), Policy("a", 0), Policy("z", 5, roles=["etcd-member"])]
        assert choose_policy(some, self.WORKER) is some[1]
        chosen = choose_policy([*some, Policy("c", 5)], self.WORKER)
        assert chosen is not None
        assert chosen.rank == (-5, "c")
        assert choose_policy([], self.WORKER) is None


class TestStages:
    def plan(self, total, canary=0, stages=()):
        found = plan_stages(total, canary_count=canary, canary_soak_seconds=600, stages=stages)
        return [stage.up_to for stage in found], found

    def test_a_canary_the_parts_and_the_rest(self):
        ends, found = self.plan(100, 2, [{"up_to": "25%", "soak_seconds": 60}])
        assert ends == [2, 25, 100]
        assert [stage.soak_seconds for stage in found] == [600, 60, 0]
        assert [stage.is_canary for stage in found] == [True, False, False]
        assert [stage_of(found, place) for place in (0, 1, 2, 24, 25, 99)] == [0, 0, 1, 1, 2, 2]

    def test_stages_that_add_nobody_vanish(self):
        assert self.plan(3, 2, [{"up_to": "10%"}, {"up_to": "100%"}])[0] == [2, 3]

    def test_but_not_their_question(self):
        stages = [{"up_to": "1", "needs_confirmation": True}]
        _, found = self.plan(10, 2, stages)
        assert [stage.needs_confirmation for stage in found] == [False, True]

    def test_without_any_there_is_one(self):
        assert self.plan(5)[0] == [5]
        assert self.plan(0)[0] == []

    @given(
        st.integers(0, 300),
        st.integers(0, 20),
        st.lists(
            st.fixed_dictionaries({"up_to": st.integers(1, 100).map("{}%".format)}), max_size=5
        ),
    )
    def test_stages_grow_and_end_with_everybody(self, total, canary, stages):
        ends, found = self.plan(total, canary, stages)
        assert ends == sorted(set(ends))
        assert not total or ends[-1] == total
        assert all(stage_of(found, place) < max(1, len(found)) for place in range(total))


class TestOrder:
    def test_auto_follows_the_kind_of_change(self):
        before = {"kubernetes_version": "1.34.1", "ntp": "a"}
        assert resolve_order("auto", before, before | {"ntp": "b"}) == "workers-first"
        newer = before | {"kubernetes_version": "1.35.0"}
        assert resolve_order("auto", before, newer) == "control-plane-first"
        assert resolve_order("any", before, newer) == "any"

    def test_machines_are_arranged_wave_by_wave(self):
        places = [Place(1, True, ("b",)), Place(2, False, ("c",)), Place(3, False, ("a",))]
        for order, expected in (
            ("workers-first", [3, 2, 1]),
            ("control-plane-first", [1, 3, 2]),
            ("any", [3, 1, 2]),
        ):
            assert [place.machine_id for place in arrange(places, order)] == expected


class TestPhases:
    def phase(self, minutes, **changes):
        base: dict[str, Any] = {
            "acquired_at": NOON,
            "reported_at": NOON - timedelta(seconds=20),
            "is_up_to_date": False,
            "has_booted": False,
            "strategy": "reboot",
            "deadline_at": NOON + timedelta(minutes=30),
        }
        return phase_of(Holder(**(base | changes)), NOON + timedelta(minutes=minutes))

    def test_it_drains_while_it_still_reports(self):
        assert self.phase(1) == "draining"
        assert self.phase(10, reported_at=NOON + timedelta(minutes=9)) == "draining"

    def test_it_is_down_when_it_is_quiet_or_boots(self):
        assert self.phase(10) == "down"
        assert self.phase(1, has_booted=True) == "down"

    def test_it_is_checked_when_it_reports_the_new_config(self):
        reported = NOON + timedelta(minutes=9)
        assert self.phase(10, reported_at=reported, is_up_to_date=True) == "checking"

    def test_it_is_lost_past_its_deadline(self):
        assert self.phase(31) == "lost"
        assert self.phase(31, reported_at=NOON + timedelta(minutes=30)) == "lost"

    def test_one_that_was_told_to_power_off_is_off_however_long(self):
        assert self.phase(3000, strategy="poweroff") == "powered-off"
        reported = NOON + timedelta(minutes=40)
        assert self.phase(41, strategy="poweroff", reported_at=reported) == "lost"

    def test_without_a_deadline_it_is_never_lost(self):
        assert self.phase(3000, deadline_at=None) == "down"
