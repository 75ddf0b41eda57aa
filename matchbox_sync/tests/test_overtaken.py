"""What others do between two reads of a sync, a plan or a boot route: nothing else must stop."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import DatabaseError, connections, transaction
from django.db import connection as own_connection
from django.test import Client
from django.utils import timezone

from enjoliver.common.errors import NotFound
from machines.models import Machine
from matchbox_sync import held, tasks
from matchbox_sync.models import (
    DesiredConfig,
    PendingChange,
    PlanRun,
    PlanState,
    Revision,
)
from matchbox_sync.services import (
    assign_revision,
    assign_revisions,
    assigning,
    has_waiting_plans,
    publish,
    reject_change,
    request_plan,
    roll_back,
    run_next_plan,
    set_approval_rule,
    set_release_policy,
    storedplan,
    sync_cluster,
)
from matchbox_sync.services import run as runs
from matchbox_sync.services.pending import approve_change
from matchbox_sync.signals import desired_changed
from matchbox_sync.tests.fleet import mac_of, place, uuid_of
from scheduling.services import release_machine, set_values
from scheduling.tests.factories import ClusterFactory

pytestmark = [pytest.mark.django_db, pytest.mark.matchbox]
committing = pytest.mark.django_db(transaction=True)


def sync(cluster):
    cluster.refresh_from_db()
    result = sync_cluster(cluster=cluster)
    assert result is not None
    return result


def change(cluster, **values):
    set_values(cluster=cluster, changes=values, actor="test")


def forget(machine):
    """Released, its desired config taken by another sync, and gone."""
    release_machine(machine=machine, actor="ada", reason="sold")
    DesiredConfig.objects.filter(pk=machine.pk).delete()
    Machine.objects.get(pk=machine.pk).delete()


def once(monkeypatch, module, name, act, *, is_after=False):
    """Let somebody `act` right before (or after) the next call of `module.name`."""
    real = getattr(module, name)

    def call(*arguments, **keywords):
        monkeypatch.setattr(module, name, real)
        if not is_after:
            act()
        found = real(*arguments, **keywords)
        if is_after:
            act()
        return found

    monkeypatch.setattr(module, name, call)


class TestASync:
    @committing
    @pytest.mark.parametrize("moment", ["store_batch", "reuse_configs"])
    def test_of_a_machine_that_vanishes_serves_the_others(self, cluster, monkeypatch, moment):
        first, second = place(1), place(2)
        sync(cluster)
        change(cluster, ntp=["a.example.test"])
        if moment == "reuse_configs":
            sync(cluster)
            roll_back(
                cluster=cluster, revision=Revision.objects.get(number=1), actor="o", reason="x"
            )
        once(monkeypatch, runs, moment, lambda: forget(first))
        result = sync(cluster)
        newest = Revision.objects.order_by("-number")[0]
        assert newest.completed_at is not None
        assert list(newest.configs.values_list("machine_id", flat=True)) == [second.pk]
        assert result.problems == 0

    @committing
    def test_publishes_the_others_when_a_machine_vanishes(self, cluster, settings, monkeypatch):
        first, second = place(1), place(2)
        sync(cluster)
        (settings.MATCHBOX_PATH / "groups").rename(settings.MATCHBOX_PATH / "gone")
        for folder in settings.MATCHBOX_PATH.glob("*.json"):
            folder.unlink()
        once(monkeypatch, publish.Publisher, "_put_templates", lambda: forget(first))
        sync(cluster)
        groups = {path.name for path in (settings.MATCHBOX_PATH / "groups").iterdir()}
        assert any(mac_of(2).replace(":", "-") in name for name in groups)
        assert second.pk in DesiredConfig.objects.values_list("pk", flat=True)

    def test_that_chose_its_content_before_a_rollback_does_not_undo_it(self, cluster, monkeypatch):
        place(1)
        sync(cluster)
        change(cluster, ntp=["bad.example.test"])
        sync(cluster)
        change(cluster, timezone="Europe/Paris")

        def back():
            first = Revision.objects.get(number=1)
            roll_back(cluster=cluster, revision=first, actor="olga", reason="clocks stand still")

        once(monkeypatch, runs, "choose_content", back, is_after=True)
        assert sync(cluster).revision is None
        newest = Revision.objects.order_by("-number")[0]
        assert (newest.number, newest.back_to) == (3, 1)
        assert PendingChange.objects.filter(state="rejected", closed_at=None).exists()
        sync(cluster)
        assert Revision.objects.order_by("-number")[0] == newest
        assert DesiredConfig.objects.get().config.revision_id == newest.pk

    def test_that_chose_an_approved_change_before_it_was_rejected_leaves_it(
        self, cluster, monkeypatch
    ):
        place(1)
        sync(cluster)
        set_approval_rule(lambda cluster, profiles: "somebody must look")
        change(cluster, ntp=["bad.example.test"])
        sync(cluster)
        waiting = PendingChange.objects.get()
        approve_change(change=waiting, actor="ada")

        def reject():
            reject_change(change=waiting, actor="olga", reason="wait")

        once(monkeypatch, runs, "choose_content", reject, is_after=True)
        assert sync(cluster).revision is None
        assert Revision.objects.count() == 1
        waiting.refresh_from_db()
        assert (waiting.state, waiting.closed_at) == ("rejected", None)

    def test_of_one_cluster_that_fails_stops_no_other(self, cluster, monkeypatch):
        other = ClusterFactory.create()
        seen = []

        def fail_first(*, cluster):
            seen.append(cluster.pk)
            if len(seen) == 1:
                raise RuntimeError("as if its rows were broken")

        monkeypatch.setattr(tasks, "sync_cluster", fail_first)
        monkeypatch.setattr(tasks, "has_waiting_plans", lambda: seen.append("plans"))
        with pytest.raises(RuntimeError):
            tasks.run_sync()
        assert seen == [cluster.pk, other.pk, "plans"]


class TestWhoListens:
    @committing
    def test_fails_for_itself_only(self, cluster):
        machine = place(1)
        sync(cluster)
        change(cluster, ntp=["a.example.test"])

        def fail(sender, **kwargs):
            raise RuntimeError("a receiver's own fault")

        desired_changed.connect(fail)
        try:
            assert sync(cluster).rendered == 1
            first = Revision.objects.get(number=1)
            moved = assign_revisions(machine_ids=[machine.pk], actor="ada", revision=first)
        finally:
            desired_changed.disconnect(fail)
        assert moved == {machine.pk}


class TestDesiredConfigs:
    @committing
    @pytest.mark.postgres
    @pytest.mark.skipif(
        own_connection.vendor != "postgresql", reason="SQLite has one writer at a time"
    )
    def test_nobody_moves_one_while_a_sync_decides_on_it(self, cluster):
        """Else the sync would write back what it read before."""
        machine = place(1)
        sync(cluster)
        change(cluster, ntp=["a.example.test"])
        outcomes = []

        def lock_elsewhere():
            try:
                with transaction.atomic():
                    DesiredConfig.objects.select_for_update(nowait=True).get(pk=machine.pk)
                return "free"
            except DatabaseError:
                return "locked"
            finally:
                connections.close_all()

        def release(revision, machine_ids):
            with ThreadPoolExecutor(1) as pool:
                outcomes.append(pool.submit(lock_elsewhere).result())
            return machine_ids

        set_release_policy(release)
        sync(cluster)
        assert outcomes == ["locked"]

    def test_of_a_machine_that_is_released_meanwhile_is_not_found(self, cluster, monkeypatch):
        machine = place(1)
        sync(cluster)
        once(
            monkeypatch,
            assigning,
            "assign_revisions",
            DesiredConfig.objects.filter(pk=machine.pk).delete,
        )
        with pytest.raises(NotFound):
            assign_revision(machine=machine, revision=Revision.objects.get(), actor="ada")


class TestPlans:
    def test_of_a_machine_that_vanishes_names_the_others(self, cluster, monkeypatch):
        first, _second = place(1), place(2)
        sync(cluster)
        change(cluster, ntp=["a.example.test"])
        sync(cluster)
        once(monkeypatch, storedplan, "describe_machines", lambda: forget(first))
        request_plan(cluster=cluster, request={"compare": [1, 2]}, actor="ada")
        run = run_next_plan()
        assert run is not None
        assert (run.state, run.message) == (PlanState.DONE, "")

    @pytest.mark.parametrize("hours", [-2, 2])
    def test_of_a_dead_worker_is_made_again_also_when_the_clock_stepped(self, cluster, hours):
        run = request_plan(cluster=cluster, request={}, actor="ada")
        heard_at = timezone.now() + timedelta(hours=hours)
        PlanRun.objects.filter(pk=run.pk).update(state=PlanState.RUNNING, heard_at=heard_at)
        assert has_waiting_plans()


class TestABootingMachine:
    """It is released between the look at who asks and the look at what it gets."""

    @pytest.fixture
    def released(self, cluster, monkeypatch):
        machine = place(1)
        sync(cluster)
        find = held.find_asker

        def find_and_release(*arguments):
            found = find(*arguments)
            DesiredConfig.objects.filter(pk=machine.pk).delete()
            return found

        monkeypatch.setattr(held, "find_asker", find_and_release)
        return f"uuid={uuid_of(1)}&mac={mac_of(1)}&os=installed"

    @pytest.mark.parametrize("path", ["/ipxe", "/ignition"])
    def test_is_told_to_come_again(self, released, path):
        answer = Client().get(f"{path}?{released}")
        assert (answer.status_code, json.loads(answer.content)["kind"]) == (503, "out_of_sync")

    def test_discovers_itself_meanwhile(self, released):
        answer = Client().get(f"/ignition-pxe?{released}")
        discovery = held.discovery_content()
        assert discovery is not None
        assert (answer.status_code, answer.content) == (200, discovery.body)

    def test_sees_the_metadata_of_machines_without_a_role(self, released):
        answer = Client().get(f"/metadata?{released}")
        assert answer.status_code == 200
        assert b"HOSTNAME" not in answer.content
