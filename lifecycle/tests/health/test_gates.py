"""Health gates of policies: kept, checked when due, by one worker, and obeyed by rollouts."""

import threading
from datetime import timedelta

import pytest
from django.db import connections

from enjoliver.common.errors import Conflict, InvalidInput
from lifecycle.models import HealthGate, HealthGateState, RollingPolicy, Slot
from lifecycle.services import (
    advance_rollouts,
    check_due_gates,
    check_gates_now,
    policy_document,
    read_gates,
    remove_health_gate,
    set_health_gate,
)
from lifecycle.services.expectednodes import expected_nodes
from lifecycle.tests.health.servers import serving
from lifecycle.tests.races import all_at_once
from lifecycle.tests.rollouts.world import NOON, SECOND, World
from machines.models import Event

pytestmark = pytest.mark.django_db


class Light:
    """A server that is healthy as long as `is_green`; it counts who asks."""

    def __init__(self):
        self.url, self.is_green, self.asked = "", True, 0
        self._lock = threading.Lock()

    def __call__(self, request):
        with self._lock:  # each request has a thread of its own
            self.asked += 1
        return (200 if self.is_green else 503), {}, b""


@pytest.fixture
def light():
    found = Light()
    with serving(found) as url:
        found.url = url
        yield found


def gate(url="http://127.0.0.1:1", name="web", **more):
    """A gate's document; one result is enough."""
    document = {"name": name, "kind": "http", "config": {"url": url}, "healthy_after": 1}
    return document | {"interval_seconds": 10} | more


def verdicts(world, policy):
    return read_gates([policy.pk], world.now)[policy.pk]


# --- keeping them --------------------------------------------------------------------------------


def test_gates_are_a_part_of_the_policys_document():
    world = World(workers=1)
    policy = world.policy(health_gates=[gate(name="b"), gate(name="a", is_enabled=False)])
    found = policy_document(policy)["health_gates"]
    assert found[1] == {
        "name": "b",
        "kind": "http",
        "config": {"url": "http://127.0.0.1:1"},
        "timeout_seconds": 5,
        "interval_seconds": 10,
        "healthy_after": 1,
        "unhealthy_after": 1,
        "is_enabled": True,
    }
    assert [one["name"] for one in found] == ["a", "b"]
    before = HealthGate.objects.get(name="b")
    world.policy(health_gates=found)
    assert HealthGate.objects.get(name="b") == before
    world.policy(health_gates=found[1:])
    assert list(HealthGate.objects.values_list("name", flat=True)) == ["b"]
    world.policy()
    assert not HealthGate.objects.exists()


@pytest.mark.parametrize(
    ("document", "field"),
    [
        (5, "health_gates.0"),
        ({}, "health_gates.0.name"),
        (gate(name=""), "health_gates.0.name"),
        (gate(kind="tcp"), "health_gates.0.kind"),
        (gate(config=[]), "health_gates.0.config"),
        (gate(url="nothing"), "health_gates.0.config.url"),
        (gate(timeout_seconds=31), "health_gates.0.timeout_seconds"),
        (gate(timeout_seconds=11), "health_gates.0.timeout_seconds"),
        (gate(interval_seconds=True), "health_gates.0.interval_seconds"),
        (gate(healthy_after=0), "health_gates.0.healthy_after"),
        (gate(is_enabled=1), "health_gates.0.is_enabled"),
        (gate(period=5), "health_gates.0.period"),
    ],
)
def test_a_mistake_in_a_gate_names_its_place_and_changes_nothing(document, field):
    world = World(workers=1)
    with pytest.raises(InvalidInput) as refused:
        world.policy(health_gates=[document])
    assert field in refused.value.fields
    assert not RollingPolicy.objects.exists()


def test_two_gates_of_one_name_and_too_many_are_refused():
    world = World(workers=1)
    with pytest.raises(InvalidInput, match="two gates are called web"):
        world.policy(health_gates=[gate(), gate()])
    with pytest.raises(InvalidInput, match="at most 20"):
        world.policy(health_gates=[gate(name=str(n)) for n in range(21)])


def test_one_gate_can_be_set_and_removed():
    world = World(workers=1)
    policy = world.policy()
    kept = set_health_gate(policy=policy, document=gate(), actor="ada")
    changed = set_health_gate(policy=policy, document={"name": "w2"}, actor="ada", gate=kept)
    assert (changed.pk, changed.name, changed.interval_seconds) == (kept.pk, "w2", 10)
    with pytest.raises(InvalidInput) as refused:
        set_health_gate(policy=policy, document=gate(url=""), actor="ada")
    assert list(refused.value.fields) == ["config.url"]
    with pytest.raises(Conflict):
        set_health_gate(policy=policy, document=gate(name="w2"), actor="ada")
    remove_health_gate(gate=changed, actor="ada")
    assert read_gates([policy.pk], world.now) == {policy.pk: []}
    said = Event.objects.filter(kind="policy_changed").values_list("message", flat=True)
    assert "Health gate web of policy workers is added." in said
    assert "Health gate w2 of policy workers is removed." in said


# --- checking them -------------------------------------------------------------------------------


def test_without_an_active_rollout_nothing_is_asked(light):
    world = World(workers=1)
    policy = world.policy(health_gates=[gate(light.url)])
    assert check_due_gates(now=world.now) == []
    assert light.asked == 0
    (verdict,) = verdicts(world, policy)
    assert (verdict.is_healthy, verdict.message) == (False, "it has not been checked yet")


def rolling(light, workers=2, **more):
    """A world with a rollout under way, and its policy."""
    world = World(workers=workers)
    policy = world.policy(health_gates=[gate(light.url, **more)])
    world.new_revision()
    advance_rollouts(now=world.now)
    return world, policy


def test_a_gate_is_checked_at_its_interval(light):
    world, policy = rolling(light, healthy_after=2)
    for seconds, asked, is_healthy in ((0, 1, False), (5, 1, False), (10, 2, True), (19, 2, True)):
        world.now = NOON + seconds * SECOND
        check_due_gates(now=world.now)
        assert (light.asked, verdicts(world, policy)[0].is_healthy) == (asked, is_healthy)
    world.now = NOON + 41 * SECOND
    assert "too old to count" in verdicts(world, policy)[0].message


def test_a_disabled_gate_is_neither_asked_nor_obeyed(light):
    world, policy = rolling(light, is_enabled=False)
    assert check_due_gates(now=world.now) == []
    assert verdicts(world, policy) == []


def test_a_change_of_state_stands_in_the_timeline_once(light):
    world, _ = rolling(light)
    for is_green in (True, True, False, False, True):
        light.is_green = is_green
        check_due_gates(now=world.now)
        world.now += 10 * SECOND
    events = Event.objects.filter(kind="health_gate_changed").order_by("pk")
    assert [(event.level, event.message) for event in events] == [
        ("info", f"Health gate web of policy workers is healthy: {light.url} answers 200"),
        (
            "warning",
            "Health gate web of policy workers is unhealthy: "
            f"{light.url} answers 503, expected 200",
        ),
        ("info", f"Health gate web of policy workers is healthy: {light.url} answers 200"),
    ]


def test_a_changed_gate_forgets_its_result(light):
    world, policy = rolling(light)
    check_due_gates(now=world.now)
    assert verdicts(world, policy)[0].is_healthy
    kept = HealthGate.objects.get()
    set_health_gate(
        policy=policy, document={"config": {"url": f"{light.url}/2"}}, actor="ada", gate=kept
    )
    assert verdicts(world, policy)[0].message == "it has not been checked yet"


@pytest.mark.django_db(transaction=True)
def test_the_result_of_what_a_gate_no_longer_asks_is_dropped():
    world = World(workers=1)

    def change(request):
        try:  # an operator, in the middle of the check
            kept = HealthGate.objects.select_related("policy").get()
            set_health_gate(
                policy=kept.policy, document={"timeout_seconds": 4}, actor="ada", gate=kept
            )
        finally:
            connections.close_all()
        return 200, {}, b""

    with serving(change) as url:
        policy = world.policy(health_gates=[gate(url)])
        gates = HealthGate.objects.select_related("policy")
        (checked,) = check_gates_now(gates, now=world.now)
    assert (checked.result.is_good, checked.health) == (True, None)
    assert verdicts(world, policy)[0].message == "it has not been checked yet"


def test_a_gate_can_be_checked_at_once(light):
    world = World(workers=1)
    policy = world.policy(health_gates=[gate(light.url)])
    (checked,) = check_gates_now(HealthGate.objects.select_related("policy"), now=world.now)
    assert checked.result.is_good
    assert checked.health
    assert checked.health.state == "healthy"
    assert verdicts(world, policy)[0].is_healthy
    assert HealthGateState.objects.get().claimed_until is None


def test_a_worker_that_died_in_a_check_holds_the_gate_only_for_a_while(light):
    world, _ = rolling(light)
    until = world.now + timedelta(seconds=25)
    HealthGateState.objects.create(gate=HealthGate.objects.get(), claimed_until=until)
    assert check_due_gates(now=world.now) == []
    assert len(check_due_gates(now=until)) == 1


def test_a_claim_made_before_the_clock_stepped_back_is_none(light):
    world, _ = rolling(light)
    later = world.now + timedelta(days=1)
    HealthGateState.objects.create(gate=HealthGate.objects.get(), claimed_until=later)
    assert len(check_due_gates(now=world.now)) == 1


# --- obeying them --------------------------------------------------------------------------------


def test_no_machine_goes_while_a_gate_is_not_healthy(light):
    world, policy = rolling(light)
    assert world.states() == ["waiting", "waiting"]
    light.is_green = False
    check_due_gates(now=world.now)
    advance_rollouts(now=world.now)
    assert world.states() == ["waiting", "waiting"]
    rollout = world.rollout(policy)
    assert rollout.hold == (f"the health gate web fails: {light.url} answers 503, expected 200")
    light.is_green = True
    world.now += 10 * SECOND
    check_due_gates(now=world.now)
    advance_rollouts(now=world.now)
    assert sorted(world.states()) == ["open", "waiting"]
    opened = next(m for m in world.workers if world.place(m).state == "open")
    light.is_green = False
    world.now += 10 * SECOND
    check_due_gates(now=world.now)
    assert not world.update(opened)


def test_the_next_machine_waits_for_a_check_after_the_last_one_was_done(light):
    world, policy = rolling(light)
    check_due_gates(now=world.now)
    advance_rollouts(now=world.now)
    first = next(m for m in world.workers if world.place(m).state == "open")
    world.now += SECOND
    assert world.update(first)
    world.now += SECOND
    advance_rollouts(now=world.now)
    advance_rollouts(now=world.now)
    assert world.place(first).state == "done"
    (verdict,) = verdicts(world, policy)
    assert verdict.message == "it has not been checked since the last machine was done"
    light.is_green = False  # the first machine broke it
    assert len(check_due_gates(now=world.now + SECOND)) == 1
    world.now += 2 * SECOND
    advance_rollouts(now=world.now)
    other = next(m for m in world.workers if m != first)
    assert world.leave(other).strategy is None
    assert not Slot.objects.exists()


# --- whom Kubernetes is asked for ----------------------------------------------------------------


def test_machines_that_may_be_away_are_not_expected_as_nodes(light):
    world = World(workers=3)
    policy = world.policy()
    world.new_revision()
    advance_rollouts(now=world.now)
    everybody = {node.machine for node in expected_nodes(policy.pk, world.now)}
    assert everybody == {m.assignment.fqdn for m in world.workers}
    opened = next(m for m in world.workers if world.place(m).state == "open")
    assert world.lock(opened)
    left = {node.machine for node in expected_nodes(policy.pk, world.now)}
    assert everybody - left == {opened.assignment.fqdn}


def test_a_node_may_be_called_by_the_first_label_where_that_is_unique(light):
    world = World(workers=2)
    policy = world.policy()
    first, second = world.workers
    type(first.assignment).objects.filter(machine=second).update(fqdn="r1-srv1.dc2.example.test")
    named = {node.machine: node.names for node in expected_nodes(policy.pk, world.now)}
    assert named["r1-srv1.dc2.example.test"] == ("r1-srv1.dc2.example.test",)
    type(first.assignment).objects.filter(machine=second).update(fqdn="other.dc2.example.test")
    named = {node.machine: node.names for node in expected_nodes(policy.pk, world.now)}
    assert named["other.dc2.example.test"] == ("other.dc2.example.test", "other")


@pytest.mark.django_db(transaction=True)
def test_several_workers_ask_each_gate_once(light):
    world = World(workers=1)
    gates = [gate(light.url, name=f"gate-{number}") for number in range(4)]
    world.policy(health_gates=gates)
    world.new_revision()
    advance_rollouts(now=world.now)
    all_at_once(lambda _: check_due_gates(now=world.now), range(4))
    assert light.asked == 4
    states = HealthGateState.objects.values_list("state", "streak", "claimed_until")
    assert list(states) == [("healthy", 1, None)] * 4
