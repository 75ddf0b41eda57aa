"""The task, and what makes it run."""

from datetime import timedelta

import pytest
from django.utils import timezone

from machines.discovery import parse_report
from machines.models import MachineConflict
from machines.services import record_discovery
from machines.tests.factories import address_of, document, mac_of
from scheduling import receivers, tasks
from scheduling.models import Assignment, Cluster
from scheduling.services import assign_roles
from scheduling.tests.factories import make_machine

pytestmark = pytest.mark.django_db


@pytest.fixture
def hints(monkeypatch):
    asked = []

    def note(task, *, delay_seconds=0.5):
        asked.append((task.name, delay_seconds))
        return True

    monkeypatch.setattr(receivers, "hint", note)
    monkeypatch.setattr(tasks, "hint", note)
    return asked


def test_the_task_places_machines_of_the_default_cluster(cluster, hints):
    for number in (1, 2, 3, 4):
        make_machine(number)
    tasks.run_scheduler()
    assert Assignment.objects.count() == 4
    assert hints == []


def test_the_task_makes_the_default_cluster_when_it_is_gone(db, hints):
    Cluster.objects.all().delete()
    tasks.run_scheduler()
    assert Cluster.objects.get().name == "default"


def test_the_task_asks_for_the_next_pass_while_the_control_plane_settles(
    cluster, hints, monkeypatch
):
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    for number in (1, 2, 3):
        make_machine(number, created_at=now)
    tasks.run_scheduler()
    assert hints == [("scheduling.tasks.run_scheduler", cluster.settle_seconds)]


def test_a_far_future_pass_is_left_to_a_shorter_countdown(cluster, hints):
    Cluster.objects.update(settle_seconds=60)
    for number in (1, 2, 3):
        make_machine(number, created_at=timezone.now() + timedelta(seconds=50))
    tasks.run_scheduler()
    assert hints == [("scheduling.tasks.run_scheduler", tasks.LONGEST_DELAY_SECONDS)]


def test_a_discovery_asks_for_a_pass(cluster, hints, committed):
    committed(record_discovery, report=parse_report(document(1)))
    assert ("scheduling.tasks.run_scheduler", 0.5) in hints


def test_a_discovery_with_another_address_than_the_pinned_one_opens_a_conflict(
    cluster, hints, committed
):
    machine = committed(record_discovery, report=parse_report(document(1))).machine
    assign_roles(machine=machine, roles=["kubernetes-node"], actor="ada")
    hints.clear()
    moved = document(1)
    moved["interfaces"][1] |= {"ipv4": address_of(9), "cidrv4": f"{address_of(9)}/14"}
    committed(record_discovery, report=parse_report(moved))
    assert MachineConflict.objects.get(kind="changed_address").subject == address_of(9)
    assert Assignment.objects.get(boot_mac=mac_of(1)).ipv4 == address_of(1)
    assert hints == []
    committed(record_discovery, report=parse_report(document(1)))
    assert not MachineConflict.objects.filter(kind="changed_address").exists()
