"""/metrics: the fleet in numbers, every name ours, a fixed number of queries."""

from datetime import timedelta

import pytest
from django.db import OperationalError
from django.db.backends.utils import CursorWrapper
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from enjoliver.common.leases import beat
from lifecycle.models import IgnitionReport
from lifecycle.tests.factories import AttemptFactory, SlotFactory
from machines.states import State
from machines.tests.factories import MachineConflictFactory, MachineFactory, UnknownBootFactory
from matchbox_sync.models import Problem, Revision, SyncState
from scheduling.models import Cluster
from scheduling.tests.factories import AssignmentFactory, WaitingFactory, make_fleet

pytestmark = pytest.mark.django_db
HELD_UP = 300
"""Seconds that a busy machine may take between two lines of a test."""


def scrape(client):
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    }


def test_every_name_starts_with_ours(client):
    names = {key[0] for key in scrape(client)}
    assert names
    assert all(name.startswith("enjoliver_") for name in names)
    assert any(name.startswith("enjoliver_django_http_") for name in names)


def test_an_empty_fleet_has_a_zero_for_every_state(client):
    found = scrape(client)
    assert found["enjoliver_database_up",] == 1
    for state in State:
        assert found["enjoliver_machines", state.value] == 0
    assert "enjoliver_oldest_report_age_seconds" not in {key[0] for key in found}


def test_the_fleet_is_counted(client):
    now = timezone.now()
    running = [MachineFactory.create(running=True, installed_at=now) for _ in range(2)]
    silent = MachineFactory.create(installed=True, state=State.RUNNING)
    for machine, verdict, age in (
        (running[0], True, 5),
        (running[1], False, 6),
        (silent, True, 9000),
    ):
        at = now - timedelta(seconds=age)
        IgnitionReport.objects.create(
            machine=machine, is_up_to_date=verdict, reported_at=at, created_at=at
        )
    AssignmentFactory(machine=running[0])
    WaitingFactory(code="control_plane")
    MachineConflictFactory(kind="shared_mac", machine=running[0])
    UnknownBootFactory(count=7)
    found = scrape(client)
    assert found["enjoliver_machines", "running"] == 3
    assert found["enjoliver_machines_installed",] == 3
    assert found["enjoliver_machines_with_role", "default", "kubernetes-node"] == 1
    assert found["enjoliver_machines_waiting", "control_plane"] == 1
    assert found["enjoliver_machines_reporting", "up_to_date"] == 2
    assert found["enjoliver_machines_reporting", "outdated"] == 1
    assert found["enjoliver_machines_silent",] == 1
    assert 9000 <= found["enjoliver_oldest_report_age_seconds",] < 9000 + HELD_UP
    assert found["enjoliver_conflicts", "shared_mac"] == 1
    assert found["enjoliver_unknown_boot_macs",] == 1
    assert found["enjoliver_unknown_boots",] == 7


def test_sync_and_change_are_counted(client):
    now = timezone.now()
    cluster = Cluster.objects.get(name="default")
    for number in (1, 2):
        Revision.objects.create(
            cluster=cluster, number=number, fingerprint="x", cause="test", created_at=now
        )
    SyncState.objects.update_or_create(
        cluster=cluster,
        defaults={"notified_at": now - timedelta(seconds=30), "duration_seconds": 1.5},
    )
    Problem.objects.create(cluster=cluster, stage="render", message="broken", since=now)
    AttemptFactory()
    SlotFactory()
    beat("worker")
    found = scrape(client)
    assert found["enjoliver_revision", "default"] == 2
    assert found["enjoliver_sync_problems", "default"] == 1
    assert 30 <= found["enjoliver_sync_age_seconds", "default"] < 30 + HELD_UP
    assert found["enjoliver_sync_duration_seconds", "default"] == 1.5
    assert found["enjoliver_installs", "open"] == 1
    assert found["enjoliver_slots", "default"] == 1
    assert found["enjoliver_slots_held", "default"] == 1
    assert found["enjoliver_oldest_slot_age_seconds", "default"] > 0
    assert found["enjoliver_heartbeat_age_seconds", "worker"] < HELD_UP


@pytest.mark.parametrize("count", [1, 200])
def test_the_number_of_queries_is_the_same_for_any_fleet(
    client, django_assert_max_num_queries, count
):
    make_fleet(count)
    with django_assert_max_num_queries(22):
        scrape(client)


def test_without_a_database_the_counters_are_still_there(client, monkeypatch):
    def away(self, sql, *args, **kwargs):
        raise OperationalError("away")

    monkeypatch.setattr(CursorWrapper, "execute", away)
    found = scrape(client)
    monkeypatch.undo()
    assert found["enjoliver_database_up",] == 0
    assert ("enjoliver_machines", "running") not in found
    assert any(key[0].startswith("enjoliver_django_http_") for key in found)


def test_counters_of_several_processes_are_read_from_their_directory(client, monkeypatch, tmp_path):
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    names = {key[0] for key in scrape(client)}
    assert not any(name.startswith("enjoliver_django_") for name in names)
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "gone"))
    assert any(key[0].startswith("enjoliver_django_") for key in scrape(client))
