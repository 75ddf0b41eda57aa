"""A pass over all rollouts: one that cannot be taken a step further stops no other, and whoever is
overtaken between two reads looks again instead of failing."""

from zoneinfo import ZoneInfoNotFoundError

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from enjoliver.common.errors import Conflict
from lifecycle.models import PolicyMember, RollingPolicy, Rollout, Slot
from lifecycle.services import (
    abort_rollout,
    advance,
    advance_rollout,
    advance_rollouts,
    apply_policy,
    delete_policy,
    ensure_rollouts,
    making,
    policies,
    resume_rollout,
    rollouts,
    skip_machine,
    snapshot,
)
from lifecycle.services.clocks import look_at_clock
from lifecycle.services.making import make_rollout, members_behind, read_behind
from lifecycle.tests.rollouts.world import MINUTE, World
from machines.models import Machine
from machines.services import record_event, set_labels
from matchbox_sync.models import DesiredConfig
from scheduling.models import Cluster
from scheduling.tests.factories import ClusterFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def two():
    """Two policies of one cluster with a rollout each; no step was taken yet."""
    world = World(workers=2)
    for number, machine in enumerate(world.workers):
        world.policy(name=f"p{number}", selector={"machines": [machine.uuid]})
    world.new_revision()
    ensure_rollouts(cluster=world.cluster, now=world.now)
    return world


def spoil(policy_name):
    """As another version of the engine may have left it: no window can be read."""
    broken = {"days": ["sat"], "start": "22:00", "minutes": 60, "time_zone": "Moon/Base"}
    RollingPolicy.objects.filter(name=policy_name).update(windows=[broken])


class TestOneThatFailsStopsNoOther:
    def test_the_other_rollouts_of_the_cluster_go_on(self, two):
        spoil("p0")
        with pytest.raises(ZoneInfoNotFoundError, match="Moon"):
            advance_rollouts(now=two.now)
        assert two.place(two.workers[1], Rollout.objects.get(policy__name="p1")).state == "open"

    def test_its_reason_stands_in_the_rollout_until_it_goes_on(self, two):
        spoil("p0")
        for _ in range(2):
            with pytest.raises(ZoneInfoNotFoundError, match="Moon"):
                advance_rollouts(now=two.now)
        first = Rollout.objects.get(policy__name="p0")
        assert first.hold.startswith("its next step fails: ZoneInfoNotFoundError: ")
        assert "Moon" in first.hold
        RollingPolicy.objects.update(windows=[])
        advance_rollouts(now=two.now)
        first.refresh_from_db()
        assert first.hold == ""
        assert two.states(first) == ["open"]

    def test_the_other_clusters_go_on(self, two, monkeypatch):
        other = ClusterFactory.create()
        apply_policy(document={"name": "o", "cluster": other.name}, actor="ada", now=two.now)
        Cluster.objects.filter(pk=two.cluster.pk).update(version=1)
        seen = []

        def ensure(*, cluster, now):
            seen.append(cluster.pk)
            if cluster.pk == two.cluster.pk:
                raise RuntimeError("as if its rows were broken")
            return ensure_rollouts(cluster=cluster, now=now)

        monkeypatch.setattr(advance, "ensure_rollouts", ensure)
        with pytest.raises(RuntimeError, match="as if"):
            advance_rollouts(now=two.now)
        assert seen == [two.cluster.pk, other.pk]

    def test_rollouts_go_on_where_none_can_be_made(self, two, monkeypatch):
        def ensure(**kwargs):
            raise RuntimeError("as if a policy were broken")

        monkeypatch.setattr(advance, "ensure_rollouts", ensure)
        with pytest.raises(RuntimeError, match="as if"):
            advance_rollouts(now=two.now)
        states = [state for rollout in Rollout.objects.all() for state in two.states(rollout)]
        assert states == ["open", "open"]

    def test_a_policy_whose_rollout_cannot_be_made_stops_no_other(self, two, monkeypatch):
        two.new_revision()
        make = making.make_rollout

        def make_one(policy, *others, **named):
            if policy.name == "p0":
                raise RuntimeError("as if it were broken")
            return make(policy, *others, **named)

        monkeypatch.setattr(making, "make_rollout", make_one)
        with pytest.raises(RuntimeError, match="as if"):
            ensure_rollouts(cluster=two.cluster, now=two.now)
        newest = Rollout.objects.order_by("-pk").first()
        assert newest is not None
        assert (newest.policy_name, newest.revision_number) == ("p1", 3)

    def test_a_policy_that_went_since_its_members_were_read_is_passed_over(self, two, monkeypatch):
        two.new_revision()
        read = making.read_behind

        def read_and_delete(rows):
            found = read(rows)
            Rollout.objects.filter(policy_name="p0").delete()
            RollingPolicy.objects.filter(name="p0").delete()
            return found

        monkeypatch.setattr(making, "read_behind", read_and_delete)
        made = ensure_rollouts(cluster=two.cluster, now=two.now)
        assert [rollout.policy_name for rollout in made] == ["p1"]

    def test_all_that_failed_is_told(self, two):
        spoil("p0")
        spoil("p1")
        with pytest.raises(ExceptionGroup) as caught:
            advance_rollouts(now=two.now)
        assert len(caught.value.exceptions) == 2


class TestWhatVanishesMeanwhile:
    def test_a_rollout(self, two):
        gone = Rollout.objects.values_list("pk", flat=True)[0]
        Rollout.objects.filter(pk=gone).delete()
        assert advance_rollout(rollout_id=gone, now=two.now) is None

    @pytest.mark.parametrize("moment", ["refresh_members_when_due", "watch_leases"])
    def test_a_policy_after_its_rollout_ended(self, two, monkeypatch, moment):
        real = getattr(advance, moment)

        def vanish(**kwargs):
            Rollout.objects.filter(policy__name="p0").update(state="aborted")
            delete_policy(policy=RollingPolicy.objects.get(name="p0"), actor="ada")
            monkeypatch.setattr(advance, moment, real)
            return real(**kwargs)

        monkeypatch.setattr(advance, moment, vanish)
        advance_rollouts(now=two.now)
        assert two.place(two.workers[1], Rollout.objects.get(policy__name="p1")).state == "open"

    def test_no_policy_for_which_a_rollout_was_made_just_now(self, monkeypatch):
        world = World(workers=1)
        policy = world.policy()
        world.new_revision()
        behind = read_behind(members_behind())

        def refresh_late(**arguments):
            make_rollout(policy, world.revision, behind, "a worker", world.now)

        monkeypatch.setattr(policies, "refresh_members", refresh_late)
        with pytest.raises(Conflict, match="active rollout"):
            delete_policy(policy=policy, actor="ada")
        assert Rollout.objects.get().policy == policy

    def test_a_machine_between_the_snapshot_and_its_step(self, two, monkeypatch):
        read = snapshot.read_snapshot

        def read_and_forget(*arguments):
            seen = read(*arguments)
            DesiredConfig.objects.filter(pk=two.workers[0].pk).delete()
            two.workers[0].assignment.delete()
            Machine.objects.filter(pk=two.workers[0].pk).delete()
            monkeypatch.setattr(advance, "read_snapshot", read)
            return seen

        monkeypatch.setattr(advance, "read_snapshot", read_and_forget)
        for _ in range(2):
            advance_rollouts(now=two.now)
        assert Rollout.objects.get(policy__name="p0").state == "completed"
        assert two.place(two.workers[1], Rollout.objects.get(policy__name="p1")).state == "open"


class TestLeavingAMachineOut:
    @pytest.fixture
    def away(self):
        """A machine that gave its slot back and has not reported since; the rollout as it was."""
        world = World(workers=2)
        world.policy()
        world.new_revision()
        world.advance()
        opened = next(m for m in world.workers if world.place(m).state == "open")
        assert world.lock(opened)
        world.unlock(opened)
        return world, opened, world.rollout()

    def test_of_a_rollout_that_ended_meanwhile_changes_nothing(self, away):
        world, machine, seen = away
        abort_rollout(rollout=world.rollout(), actor="bob", reason="stop", now=world.now)
        with pytest.raises(Conflict, match="updating"):
            skip_machine(rollout=seen, machine=machine, actor="ada", reason="x", now=world.now)
        assert (world.place(machine).state, world.desired(machine)) == ("updating", 2)

    def test_that_is_forgotten_as_it_is_left_out_is_no_fault(self, away, monkeypatch):
        world, machine, seen = away

        def record_and_forget(**arguments):
            arguments.pop("machine")
            world.place(machine).delete()
            return record_event(**arguments)

        monkeypatch.setattr(rollouts, "record_event", record_and_forget)
        place = skip_machine(rollout=seen, machine=machine, actor="ada", reason="x", now=world.now)
        assert (place.state, place.reason) == ("skipped", "left out by ada: x")


# --- locks ---------------------------------------------------------------------------------------


def tables_locked(captured):
    """Slots and places of rollouts in the order in which they were first written to."""
    found = []
    for query in captured.captured_queries:
        sql = query["sql"]
        for table in ("lifecycle_slot", "lifecycle_rolloutmachine"):
            if sql.startswith((f'UPDATE "{table}"', f'DELETE FROM "{table}"')):
                found.append(table)
    return list(dict.fromkeys(found))


class TestSlotsAreLockedBeforePlaces:
    """A machine that gives its slot back locks it first, then its place: others in this order too,
    or two of them wait for each other for ever."""

    ORDER = ["lifecycle_slot", "lifecycle_rolloutmachine"]

    @pytest.fixture
    def away(self):
        world = World(workers=2)
        world.policy()
        world.new_revision()
        world.advance()
        opened = next(m for m in world.workers if world.place(m).state == "open")
        assert world.lock(opened)
        return world

    def lose(self, world):
        world.now += 31 * MINUTE
        world.report_all(except_for=[Slot.objects.get().machine])
        look_at_clock(world.cluster, world.now)
        Slot.objects.update(deadline_at=world.now + MINUTE)
        Rollout.objects.get().machines.filter(state="updating").update(deadline_at=world.now)

    def test_by_a_step_that_finds_a_holder_lost(self, away):
        self.lose(away)
        with CaptureQueriesContext(connection) as captured:
            advance_rollout(rollout_id=away.rollout().pk, now=away.now)
        assert "failed" in away.states()
        assert tables_locked(captured) == self.ORDER

    def test_by_an_operator_who_lets_it_go_on(self, away):
        self.lose(away)
        advance_rollout(rollout_id=away.rollout().pk, now=away.now)
        with CaptureQueriesContext(connection) as captured:
            resume_rollout(rollout=away.rollout(), actor="ada", now=away.now)
        assert tables_locked(captured) == self.ORDER
        assert "updating" in away.states()
        assert Slot.objects.get().lost_at is None

    @pytest.mark.parametrize("minutes", [60, -60])
    def test_by_a_clock_that_stepped(self, away, minutes):
        with CaptureQueriesContext(connection) as captured:
            look_at_clock(away.cluster, away.now + minutes * MINUTE)
        assert tables_locked(captured) == self.ORDER


# --- what a crash leaves -------------------------------------------------------------------------


class TestWhatACrashLeaves:
    @pytest.mark.parametrize("moment", ["refresh_members", "record_event"])
    def test_members_of_a_policy_that_went_get_their_newest_config_later(self, monkeypatch, moment):
        world = World(workers=1)
        policy = world.policy()
        world.new_revision()

        def crash(**arguments):
            raise SystemExit

        with monkeypatch.context() as patch:
            patch.setattr(policies, moment, crash)
            with pytest.raises(SystemExit):
                delete_policy(policy=policy, actor="ada")
        world.now += MINUTE
        advance_rollouts(now=world.now)
        assert world.desired(world.workers[0]) == 2
        assert not RollingPolicy.objects.get().is_enabled
        delete_policy(policy=policy, actor="ada")
        assert not RollingPolicy.objects.exists()

    def test_members_of_one_that_was_disabled_as_well(self, monkeypatch):
        world = World(workers=1)
        policy = world.policy()
        world.new_revision()
        monkeypatch.setattr(policies, "refresh_members", lambda **arguments: 0)
        world.policy(is_enabled=False)
        assert (world.desired(world.workers[0]), policy.members.count()) == (1, 1)
        world.now += MINUTE
        advance_rollouts(now=world.now)
        assert (world.desired(world.workers[0]), policy.members.count()) == (2, 0)

    def test_machines_that_no_policy_selects_any_more_as_well(self):
        world = World(workers=2)
        world.policy(selector={"labels": {"rack": "1"}}, starts="manual")
        world.new_revision()
        advance_rollouts(now=world.now)
        machine = next(m for m in world.workers if m.labels == {"rack": "1"})
        assert world.desired(machine) == 1
        set_labels(machine=machine, labels={"rack": "9"}, actor="ada")
        for _ in range(2):
            world.now += MINUTE
            advance_rollouts(now=world.now)
        assert not PolicyMember.objects.filter(pk=machine.pk).exists()
        assert world.desired(machine) == 2

    def test_a_lost_holder_pauses_its_rollout_also_when_the_pause_was_lost(self, monkeypatch):
        world = World(workers=2)
        world.policy(max_unavailable="2")
        world.new_revision()
        world.advance()
        assert world.lock(world.workers[0])
        world.new_revision()
        world.advance()

        def crash(*arguments):
            raise SystemExit

        world.now += 31 * MINUTE
        world.report_all(except_for=[world.workers[0]])
        look_at_clock(world.cluster, world.now)
        Slot.objects.update(deadline_at=world.now)
        with monkeypatch.context() as patch:
            patch.setattr(advance, "_pause_for", crash)
            with pytest.raises(SystemExit):
                advance_rollouts(now=world.now)
        assert Slot.objects.get().lost_at == world.now
        world.now += MINUTE
        world.report_all(except_for=[world.workers[0]])
        advance_rollouts(now=world.now)
        assert world.rollout().state == "paused"
        assert "did not come back" in world.rollout().reason


@pytest.mark.django_db(transaction=True)
def test_a_policy_that_goes_while_members_are_derived_stops_no_pass(monkeypatch):
    from lifecycle.services import membership

    world = World(workers=2)
    doomed = world.policy(name="p0", selector={"machines": [world.workers[0].uuid]})
    world.policy(name="p1", selector={"machines": [world.workers[1].uuid]})
    PolicyMember.objects.all().delete()
    wanted = membership._wanted

    def lose(*arguments):
        rows = wanted(*arguments)
        monkeypatch.setattr(membership, "_wanted", wanted)
        delete_policy(policy=doomed, actor="ada")
        return rows

    monkeypatch.setattr(membership, "_wanted", lose)
    membership.refresh_members(cluster_id=world.cluster.pk)
    assert list(PolicyMember.objects.values_list("pk", flat=True)) == [world.workers[1].pk]
    assert not transaction.get_connection().in_atomic_block
