"""What may be chosen in the model: policies that differ in what matters, and small things."""

from hypothesis import strategies as st

WINDOW = {"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "start": "12:00"}
WINDOWS = st.sampled_from(
    [
        [],
        [],
        [],
        [WINDOW | {"minutes": 20}],
        [WINDOW | {"minutes": 60, "time_zone": "Europe/Paris"}, WINDOW | {"minutes": 5}],
        [{"days": ["mon"], "start": "23:00", "minutes": 1000}],
    ]
)
AMOUNTS = st.sampled_from(["1", "1", "2", "3", "50%"])
STAGES = st.sampled_from(
    [
        [],
        [],
        [{"up_to": "50%", "soak_seconds": 90}],
        [{"up_to": "2"}, {"up_to": "100%", "needs_confirmation": True}],
    ]
)
SELECTORS = {
    "workers": {"roles": ["kubernetes-node"]},
    "plane": {"roles": ["kubernetes-control-plane"]},
    "rack0": {"labels": {"rack": "0"}},
    "all": {},
}
PRIORITIES = {"workers": 5, "plane": 5, "rack0": 10, "all": 0}
FIELDS = {
    "max_unavailable": AMOUNTS,
    "max_unavailable_per_domain": st.sampled_from(["", "", "1", "2", "50%"]),
    "max_domains": st.sampled_from([0, 0, 1, 2]),
    "domain_level": st.sampled_from(["rack", "rack", "site"]),
    "strategy": st.sampled_from(["kexec", "kexec", "reboot", "poweroff", "none"]),
    "canary_count": st.sampled_from([0, 0, 1, 2]),
    "canary_soak_seconds": st.sampled_from([0, 0, 100]),
    "stages": STAGES,
    "order": st.sampled_from(["auto", "auto", "workers-first", "control-plane-first", "any"]),
    "windows": WINDOWS,
    "failure_threshold": st.sampled_from(["1", "2", "50%"]),
    "return_seconds": st.sampled_from([120, 300]),
    "settle_seconds": st.sampled_from([0, 0, 90]),
    "silent_seconds": st.sampled_from([120, 300]),
    "gate_seconds": st.sampled_from([0, 120]),
    "starts": st.sampled_from(["auto", "auto", "auto", "manual"]),
    "accepts_downtime": st.sampled_from([True, True, False]),
    "is_enabled": st.sampled_from([True, True, True, True, True, False]),
}
CHANGES = st.sampled_from(sorted(FIELDS)).flatmap(
    lambda name: FIELDS[name].map(lambda value: {name: value})
)
SHORT = st.sampled_from([5, 30, 60])
MINUTES = st.sampled_from([None, 2, 30])
VALUES = st.sampled_from(
    [{"kubernetes_version": "1.34.1"}] * 2 + [{"kubernetes_version": "1.35.0"}]
)
RETURNS = st.sampled_from(
    ["updated", "updated", "updated", "outdated", "lying", "mute", "keeps its slot", "says nothing"]
)
STOPS = st.sampled_from(["freeze", "pause", "maintain", "take", "fail_health", "let_time_pass"])
MEANWHILE = st.sampled_from(
    ["another_worker", "a_late_worker", "begin", "take", "pause", "abort", "revise", "freeze",
     "maintain", "retire", "replace"]
)  # fmt: skip


def policies(names=tuple(SELECTORS)):
    """A whole policy: one of a few selectors, the other fields as they come."""
    return st.sampled_from(names).flatmap(
        lambda name: st.fixed_dictionaries(
            {
                "name": st.just(name),
                "selector": st.just(SELECTORS[name]),
                "priority": st.just(PRIORITIES[name]),
            },
            optional=FIELDS,
        )
    )


def sets_of_policies():
    """What a story begins with: most machines are covered."""
    return st.tuples(
        policies(("workers",)), policies(("plane",)), policies(("all", "rack0"))
    ) | st.tuples(policies(("all",)))
