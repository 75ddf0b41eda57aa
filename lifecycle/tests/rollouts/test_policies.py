"""Policies: applied, refused, changed, deleted; whom they are for; freezes."""

from datetime import timedelta

import pytest

from enjoliver.common.errors import Conflict, InvalidInput
from lifecycle.models import LockGroup, PolicyMember, RollingPolicy, StrategyName
from lifecycle.services import (
    add_freeze,
    apply_policy,
    delete_policy,
    lift_freeze,
    policy_of,
    refresh_members,
    set_strategy,
)
from lifecycle.services.freezes import freeze_reason
from lifecycle.services.release import released_machines, why_approval
from lifecycle.tests.rollouts.world import World
from machines.models import Event
from machines.services import set_labels
from matchbox_sync.advice import advise

pytestmark = pytest.mark.django_db


@pytest.fixture
def world():
    return World(workers=4, plane=3)


class TestApply:
    def test_it_says_what_it_did_and_leaves_a_trace(self, world):
        first = apply_policy(document={"name": "all"}, actor="ada")
        assert (first.is_new, first.policy.members.count()) == (True, 7)
        again = apply_policy(document={"name": "all", "priority": 3}, actor="ada")
        assert again.changed == {"priority": (0, 3)}
        messages = list(Event.objects.filter(kind="policy_changed").values_list("message", "actor"))
        assert messages[0] == ("Policy all: priority: 0 → 3", "ada")

    def test_other_fields_get_their_defaults_unless_it_is_partial(self, world):
        apply_policy(document={"name": "all", "canary_count": 2}, actor="ada")
        kept = apply_policy(document={"name": "all", "priority": 1}, actor="ada", partial=True)
        assert kept.policy.canary_count == 2
        reset = apply_policy(document={"name": "all"}, actor="ada")
        assert reset.policy.canary_count == 0

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"name": ""}, "name"),
            ({"name": "a\0b"}, "name"),
            ({"speed": 1}, "speed"),
            ({"priority": True}, "priority"),
            ({"priority": 2**40}, "priority"),
            ({"selector": {"labels": {"a": "\0"}}}, "selector"),
            ({"cluster": "nowhere"}, "cluster"),
            ({"max_unavailable": 1.5}, "max_unavailable"),
        ],
    )
    def test_what_is_wrong_is_named_and_nothing_is_kept(self, world, changes, field):
        with pytest.raises(InvalidInput) as error:
            apply_policy(document={"name": "all"} | changes, actor="ada")
        assert field in error.value.fields
        assert not RollingPolicy.objects.exists()

    def test_one_that_could_break_the_quorum_is_refused(self, world):
        with pytest.raises(InvalidInput) as error:
            world.policy("plane", max_unavailable="2")
        assert "etcd's quorum needs 2" in error.value.fields["max_unavailable"]

    def test_one_with_an_active_rollout_is_neither_disabled_nor_deleted(self, world):
        policy = world.policy()
        world.new_revision()
        world.advance()
        with pytest.raises(Conflict):
            world.policy(is_enabled=False)
        with pytest.raises(Conflict):
            delete_policy(policy=policy, actor="ada")


class TestMembers:
    def test_of_two_policies_the_higher_priority_counts_then_the_name(self, world):
        world.policy("b")
        world.policy("a")
        assert str(policy_of(world.workers[0])) == "a"
        world.policy("b", priority=1)
        assert str(policy_of(world.workers[0])) == "b"
        assert set(PolicyMember.objects.values_list("policy__name", flat=True)) == {"b"}

    def test_labels_decide_at_the_next_step(self, world):
        policy = world.policy(selector={"labels": {"gpu": "yes"}})
        machine = world.workers[0]
        set_labels(machine=machine, labels={"gpu": "yes"}, actor="ada")
        assert policy_of(machine) == policy
        assert refresh_members(cluster_id=world.cluster.pk) == 1
        assert list(policy.members.values_list("machine_id", flat=True)) == [machine.pk]
        assert refresh_members(cluster_id=world.cluster.pk) == 0

    def test_domains_follow_the_level(self, world):
        policy = world.policy()
        assert {row.domain for row in policy.members.all()} == {
            f"site:dc1/rack:{number}" for number in range(4)
        }
        policy = world.policy(domain_level="site")
        assert {row.domain for row in policy.members.all()} == {"site:dc1"}

    def test_machines_that_lose_their_policy_get_the_newest_config(self, world):
        policy = world.policy()
        world.new_revision()
        assert world.desired(world.workers[0]) == 1
        delete_policy(policy=policy, actor="ada")
        assert {world.desired(machine) for machine in world.workers} == {2}
        assert not PolicyMember.objects.exists()

    def test_groups_have_the_slots_that_the_limits_allow_and_outlive_their_policy(self, world):
        policy = world.policy(max_unavailable="50%")
        assert LockGroup.objects.get(name="workers").slots == 2
        delete_policy(policy=policy, actor="ada")
        assert LockGroup.objects.get(name="workers").policy is None


class TestWhatTheSyncIsTold:
    def test_only_machines_with_a_policy_that_ran_a_config_are_held(self, world):
        world.policy()
        world.workers[0].ignition_report.delete()
        ids = [machine.pk for machine in world.machines]
        held = set(ids) - set(released_machines(world.revision, ids))
        assert held == {machine.pk for machine in world.workers[1:]}

    def test_approval_is_asked_for_profiles_with_machines_of_such_a_policy(self, world):
        assert why_approval(world.cluster, ["kubernetes-node"]) is None
        world.policy(requires_approval=True)
        assert (
            why_approval(world.cluster, ["kubernetes-node"]) == "policy workers asks for approval"
        )
        assert why_approval(world.cluster, ["discovery"]) is None
        assert why_approval(world.cluster, ["etcd-member-kubernetes-control-plane"]) is None

    def test_plans_say_how_machines_would_change(self, world):
        world.policy(strategy="reboot")
        world.report_all()
        said = advise([world.workers[0].pk, world.plane[0].pk])
        assert said[world.workers[0].pk].action == "reboot under policy workers"
        assert "no policy and no strategy" in said[world.plane[0].pk].action


class TestFreezes:
    def test_the_scope_decides_whom_it_stops(self, world):
        policy, other = world.policy(), world.policy("plane")
        freeze = add_freeze(reason="audit", actor="ada", policy=policy, now=world.now)
        ids = {"cluster_id": world.cluster.pk, "now": world.now}
        assert "audit" in freeze_reason(policy_id=policy.pk, **ids)
        assert not freeze_reason(policy_id=other.pk, **ids)
        assert lift_freeze(freeze=freeze, actor="ada", now=world.now)
        assert not lift_freeze(freeze=freeze, actor="ada", now=world.now)
        assert not freeze_reason(policy_id=policy.pk, **ids)
        add_freeze(reason="x", actor="ada", cluster=world.cluster, now=world.now)
        assert freeze_reason(policy_id=other.pk, **ids)

    def test_it_ends_by_itself_and_survives_a_clock_that_steps_back(self, world):
        end = world.now + timedelta(hours=1)
        add_freeze(reason="x", actor="ada", ends_at=end, now=world.now)
        for hours, is_frozen in ((-5, True), (0, True), (2, False)):
            now = world.now + timedelta(hours=hours)
            assert bool(freeze_reason(cluster_id=None, policy_id=None, now=now)) is is_frozen

    def test_a_global_one_stops_machines_without_a_policy_as_well(self, world):
        set_strategy(machine=world.workers[0], strategy=StrategyName.KEXEC, actor="ada")
        assert world.leave(world.workers[0]).strategy == "kexec"
        add_freeze(reason="audit", actor="ada", now=world.now)
        assert "audit" in world.leave(world.workers[0]).refusal

    @pytest.mark.parametrize("reason", ["", "  "])
    def test_a_reason_is_needed(self, reason):
        with pytest.raises(InvalidInput):
            add_freeze(reason=reason, actor="ada")
