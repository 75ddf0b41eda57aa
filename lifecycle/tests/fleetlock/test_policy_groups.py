"""Groups of policies speak the same protocol; their semaphore asks the policy first."""

import pytest
from django.utils import timezone

from lifecycle.models import LockGroup, RolloutMachine, Slot
from lifecycle.services import advance_rollouts, holder_id
from lifecycle.tests.rollouts.world import World

pytestmark = pytest.mark.django_db


@pytest.fixture
def world():
    made = World(workers=3)
    made.now = timezone.now()
    made.report_all()
    made.policy(max_unavailable="2")
    made.new_revision()
    advance_rollouts(now=made.now)
    return made


def split(world):
    """(those whose turn it is, the others)."""
    places = dict(RolloutMachine.objects.values_list("machine_id", "state"))
    let_go = [m for m in world.workers if places[m.pk] == "open"]
    return let_go, [m for m in world.workers if m not in let_go]


def test_a_machine_with_leave_takes_and_frees_its_slot(fleetlock, world):
    machine = split(world)[0][0]
    for _ in range(2):
        assert fleetlock.lock(holder_id(machine), "workers").status_code == 200
    slot = Slot.objects.get()
    assert (slot.machine, slot.phase, slot.strategy) == (machine, "draining", "kexec")
    assert slot.deadline_at is not None
    for _ in range(2):
        assert fleetlock.unlock(holder_id(machine), "workers").status_code == 200
    assert not Slot.objects.exists()


def test_a_machine_without_leave_is_refused_with_the_reason(fleetlock, world):
    machine = split(world)[1][0]
    answer = fleetlock.lock(holder_id(machine), "workers")
    assert (answer.status_code, answer.json()["kind"]) == (409, "not_now")
    assert "not its turn" in answer.json()["value"]


@pytest.mark.parametrize("holder", ["node-a", "52:54:00:ff:ff:ff"])
def test_nobody_else_takes_a_slot_of_a_policy(fleetlock, world, holder):
    answer = fleetlock.lock(holder, "workers")
    assert (answer.status_code, answer.json()["kind"]) == (409, "not_now")


def test_the_group_of_another_policy_is_refused(fleetlock, world):
    LockGroup.objects.create(name="elsewhere", policy=world.rollout().policy)
    answer = fleetlock.lock(holder_id(split(world)[0][0]), "elsewhere")
    assert "group workers" in answer.json()["value"]


def test_a_full_semaphore_is_told_by_the_protocols_kind(fleetlock, world):
    LockGroup.objects.filter(name="workers").update(slots=1)
    first, second = split(world)[0]
    assert fleetlock.lock(holder_id(first), "workers").status_code == 200
    answer = fleetlock.lock(holder_id(second), "workers")
    assert (answer.status_code, answer.json()["kind"]) == (409, "failed_lock_semaphore_full")


def test_the_default_group_asks_no_policy(fleetlock, world):
    machine = split(world)[1][0]
    assert fleetlock.lock(holder_id(machine), "default").status_code == 200
    assert fleetlock.unlock(holder_id(machine), "default").status_code == 200


def test_a_slot_of_a_policy_that_is_gone_can_still_be_given_back(fleetlock, world):
    machine = split(world)[0][0]
    fleetlock.lock(holder_id(machine), "workers")
    rollout = world.rollout()
    rollout.state = "aborted"
    rollout.save()
    rollout.policy.delete()
    assert fleetlock.unlock(holder_id(machine), "workers").status_code == 200


class TestAnotherAuthority:
    @pytest.fixture(autouse=True)
    def _elsewhere(self, settings):
        settings.FLEETLOCK_URL = "http://lock.example:8080"

    def test_leaves_name_it(self, client, world):
        machine = split(world)[0][0]
        query = f"uuid={machine.uuid}&mac={machine.boot_mac}"
        lock = client.get(f"/lifecycle/rolling/{query}").json()["lock"]
        assert lock == {
            "url": "http://lock.example:8080",
            "group": "workers",
            "id": machine.uuid,
        }

    @pytest.mark.parametrize("group", ["default", "workers"])
    def test_no_slot_is_given_here_and_the_answer_says_where(self, fleetlock, world, group):
        for send in (fleetlock.lock, fleetlock.unlock):
            answer = send(holder_id(world.workers[0]), group)
            assert (answer.status_code, answer.json()["kind"]) == (409, "other_authority")
            assert "http://lock.example:8080" in answer.json()["value"]

    def test_a_slot_from_before_can_still_be_given_back(self, fleetlock, world, settings):
        settings.FLEETLOCK_URL = ""
        machine = split(world)[0][0]
        fleetlock.lock(holder_id(machine), "workers")
        settings.FLEETLOCK_URL = "http://lock.example:8080"
        assert fleetlock.unlock(holder_id(machine), "workers").status_code == 200
        assert not Slot.objects.exists()

    def test_the_rollout_goes_by_reports_alone(self, world):
        for machine in split(world)[0]:
            world.apply(machine)
        world.advance(120)
        assert world.states().count("done") == 2
