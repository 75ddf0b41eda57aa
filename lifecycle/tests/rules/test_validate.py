"""Checks of policies that explain."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.rules.validate import Fleet, advise, check_policy

WORKERS = Fleet(size=3, others=20)
PLANE = Fleet(size=3, control_plane=3)


def policy(**changes):
    base = {
        "name": "workers",
        "is_enabled": True,
        "selector": {},
        "strategy": "kexec",
        "max_unavailable": "1",
        "max_unavailable_per_domain": "",
        "max_domains": 0,
        "domain_level": "rack",
        "canary_count": 0,
        "canary_soak_seconds": 0,
        "stages": [],
        "order": "auto",
        "windows": [],
        "failure_threshold": "1",
        "return_seconds": 1800,
        "settle_seconds": 0,
        "silent_seconds": 300,
        "gate_seconds": 900,
        "starts": "auto",
        "accepts_downtime": False,
    }
    return base | changes


WINDOW = {"days": ["sat"], "start": "22:00", "minutes": 60, "time_zone": "Europe/Paris"}


def test_a_plain_policy_is_fine():
    assert check_policy(policy(windows=[WINDOW], stages=[{"up_to": "25%"}]), WORKERS) == {}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": "a.b"}, "name"),
        ({"name": "default"}, "name"),
        ({"strategy": "halt"}, "strategy"),
        ({"order": "random"}, "order"),
        ({"starts": "later"}, "starts"),
        ({"domain_level": "planet"}, "domain_level"),
        ({"max_unavailable": "0"}, "max_unavailable"),
        ({"max_unavailable": "many"}, "max_unavailable"),
        ({"max_unavailable_per_domain": "0%"}, "max_unavailable_per_domain"),
        ({"failure_threshold": "-1"}, "failure_threshold"),
        ({"max_domains": -1}, "max_domains"),
        ({"return_seconds": 5}, "return_seconds"),
        ({"silent_seconds": 10}, "silent_seconds"),
        ({"selector": []}, "selector"),
        ({"selector": {"rolls": []}}, "selector"),
        ({"selector": {"roles": "x"}}, "selector.roles"),
        ({"selector": {"labels": {"a": 1}}}, "selector.labels"),
        ({"windows": {}}, "windows"),
        ({"windows": [WINDOW | {"days": ["someday"]}]}, "windows.0.days"),
        ({"windows": [WINDOW | {"start": "24:00"}]}, "windows.0.start"),
        ({"windows": [WINDOW | {"minutes": 0}]}, "windows.0.minutes"),
        ({"windows": [WINDOW | {"minutes": True}]}, "windows.0.minutes"),
        ({"windows": [WINDOW | {"time_zone": "Mars/Base"}]}, "windows.0.time_zone"),
        ({"windows": [WINDOW | {"time_zone": "../etc/passwd"}]}, "windows.0.time_zone"),
        ({"windows": [WINDOW, WINDOW | {"until": 1}]}, "windows.1.until"),
        ({"stages": [{"up_to": "x"}]}, "stages.0.up_to"),
        ({"stages": [{"up_to": "1", "soak": 1}]}, "stages.0.soak"),
        ({"stages": [{"up_to": "50%"}, {"up_to": "20%"}]}, "stages"),
    ],
)
def test_what_is_wrong_is_named(changes, field):
    assert list(check_policy(policy(**changes), WORKERS)) == [field]


def test_unknown_roles_are_named():
    fleet = Fleet(size=3, others=2, roles=frozenset({"kubernetes-node"}))
    problems = check_policy(policy(selector={"roles": ["worker"]}), fleet)
    assert problems == {"selector.roles": "worker: not of kubernetes-node"}


class TestControlPlane:
    def test_one_that_could_break_the_quorum_is_refused_with_the_numbers(self):
        problems = check_policy(policy(max_unavailable="2"), PLANE)
        assert (
            "1 of 3 members would be left, and etcd's quorum needs 2" in problems["max_unavailable"]
        )

    def test_one_at_a_time_is_fine(self):
        assert check_policy(policy(), PLANE) == {}
        assert check_policy(policy(max_unavailable="2"), Fleet(size=5, control_plane=5)) == {}

    def test_with_workers_the_rule_above_all_policies_is_enough(self):
        fleet = Fleet(size=3, control_plane=3, others=100)
        assert check_policy(policy(max_unavailable="10%"), fleet) == {}
        assert any("one at a time" in sentence for sentence in advise(policy(), fleet))

    def test_a_control_plane_of_one_asks_for_its_downtime_to_be_accepted(self):
        alone = Fleet(size=1, control_plane=1)
        assert list(check_policy(policy(), alone)) == ["accepts_downtime"]
        assert check_policy(policy(accepts_downtime=True), alone) == {}
        assert check_policy(policy(is_enabled=False), alone) == {}
        assert check_policy(policy(strategy="none"), alone) == {}


def test_advice_tells_what_per_cent_mean_now():
    assert advise(policy(max_unavailable="10%"), WORKERS) == [
        "10% of 20 machines are 2 at present."
    ]
    assert advise(policy(), Fleet(size=3)) == ["It selects no machine at present."]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(JSON, JSON, JSON)
def test_whatever_is_sent_gets_an_answer(selector, windows, stages):
    changes = {"selector": selector, "windows": windows, "stages": stages}
    assert isinstance(check_policy(policy(**changes), WORKERS), dict)
