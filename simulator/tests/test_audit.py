"""What policies promise, as machines see it."""

import pytest

from simulator.audit import Audit, Promise

NODE = "kubernetes-node"


@pytest.fixture
def audit():
    found = Audit(clock=lambda: 1000.0)
    found.promises["workers"] = Promise(NODE, most=2, silent_seconds=100)
    return found


def test_as_many_as_promised_may_be_down(audit):
    audit.goes_down("a", "workers", "rack 1")
    audit.goes_down("b", "workers.rack-2", "rack 2")
    assert not audit.count
    assert audit.most_down["workers"] == 2
    audit.goes_down("c", "workers", "rack 3")
    assert audit.violations == [
        "c goes down under policy workers: 3 machines are away, 2 may be: a, b, c"
    ]


def test_one_that_came_back_does_not_count(audit):
    for name in ("a", "b", "c"):
        audit.goes_down(name, "workers")
        audit.comes_back(name, "workers")
    assert not audit.count


def test_who_vanished_counts_once_it_was_silent_for_long(audit):
    audit.vanishes("x", NODE, "rack 1")
    audit.vanishes("y", "kubernetes-control-plane", "rack 1")
    audit.goes_down("a", "workers", "rack 1")
    assert audit.away("workers") == {"a": "rack 1"}
    audit.clock = lambda: 1200.0
    assert audit.away("workers") == {"a": "rack 1", "x": "rack 1"}
    audit.goes_down("b", "workers", "rack 1")
    assert audit.count == 1


@pytest.mark.parametrize(
    ("limits", "words"),
    [({"per_domain": 1}, "2 machines of rack 1 are away"), ({"max_domains": 1}, "rack 1, rack 2")],
)
def test_limits_of_failure_domains(limits, words):
    promise = Promise(NODE, most=9, **limits)
    domains = ["rack 1", "rack 1"] if "per_domain" in limits else ["rack 1", "rack 2"]
    assert not promise.broken_by({"a": domains[0]})
    assert words in promise.broken_by(dict(zip("ab", domains, strict=True)))
