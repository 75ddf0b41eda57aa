"""A lease lets one worker in; a dead worker does not block it for ever."""

import os
import subprocess
from datetime import timedelta

import pytest
from django.utils import timezone

from enjoliver.common.leases import LeaseLost, beat, hold_lease
from enjoliver.common.models import Heartbeat, Lease

pytestmark = pytest.mark.django_db


def test_the_second_one_stays_out_until_the_first_leaves():
    with hold_lease("work") as first:
        assert first is not None
        with hold_lease("work") as second:
            assert second is None
        with hold_lease("other work") as other:
            assert other is not None
    with hold_lease("work") as third:
        assert third is not None


def test_leaving_gives_back_only_ones_own_lease():
    with hold_lease("work") as first:
        Lease.objects.filter(name="work").update(expires_at=timezone.now())
        with hold_lease("work") as second:
            assert second is not None
            assert first is not None
            with pytest.raises(LeaseLost):
                first.renew()
    assert Lease.objects.get(name="work").owner == ""


def test_a_silent_holder_loses_it_after_the_deadline():
    with hold_lease("work", seconds=30) as first:
        assert first is not None
        Lease.objects.filter(name="work").update(expires_at=timezone.now() - timedelta(seconds=1))
        with hold_lease("work") as second:
            assert second is not None


def test_the_lease_of_a_killed_process_of_this_machine_is_free_at_once():
    with hold_lease("work") as lease:
        assert lease is not None
        alive = lease.owner
    child = subprocess.Popen(["true"])
    child.wait()
    gone = alive.replace(f":{os.getpid()}:", f":{child.pid}:")
    far = timezone.now() + timedelta(seconds=30)
    for owner, is_free in ((alive, False), (gone, True), (gone.replace(":", "x:", 2), False)):
        Lease.objects.filter(name="work").update(owner=owner, expires_at=far)
        with hold_lease("work") as lease:
            assert (lease is not None) is is_free


def test_renewing_pushes_the_deadline():
    with hold_lease("work", seconds=30) as lease:
        soon = timezone.now() + timedelta(seconds=1)
        Lease.objects.filter(name="work").update(expires_at=soon)
        assert lease is not None
        lease.renew()
        assert Lease.objects.get(name="work").expires_at > soon


def test_a_deadline_from_a_clock_that_stepped_back_does_not_block():
    Lease.objects.create(
        name="work", owner="somebody", expires_at=timezone.now() + timedelta(days=365)
    )
    with hold_lease("work", seconds=30) as lease:
        assert lease is not None


def test_an_error_inside_gives_the_lease_back():
    with pytest.raises(RuntimeError), hold_lease("work"):
        raise RuntimeError
    assert Lease.objects.get(name="work").owner == ""


def test_a_heartbeat_is_one_row_that_moves():
    beat("worker", "first")
    before = Heartbeat.objects.get(name="worker").at
    beat("worker", "x" * 500)
    row = Heartbeat.objects.get(name="worker")
    assert row.at > before
    assert row.detail == "x" * 200
