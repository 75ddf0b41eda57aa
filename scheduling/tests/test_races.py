"""Many at once: two schedulers, eight operators, a scheduler against an operator."""

from __future__ import annotations

import threading
from collections import Counter

import pytest
from django.db import IntegrityError, close_old_connections, connection

from enjoliver.common.errors import Conflict
from machines.models import Machine
from machines.tests.factories import mac_of
from scheduling.models import AssignedRole, Assignment, Cluster
from scheduling.roles import PROFILE_CONTROL_PLANE
from scheduling.services import (
    approve_pins,
    assign_roles,
    candidates,
    pins,
    release_machine,
    run_scheduler,
    scheduler,
    set_values,
    update_cluster,
)
from scheduling.services.claims import LostRace, claim_cluster
from scheduling.tests.factories import LATER, make_fleet, make_machine

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*calls):
    """Run all calls in threads that start together; returns their results or exceptions."""
    gate = threading.Barrier(len(calls))
    results: list[object] = [None] * len(calls)

    def run(index, call):
        try:
            gate.wait(timeout=120)
            results[index] = call()
        except Exception as error:
            results[index] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    close_old_connections()
    return results


def assert_sound(count):
    assert Assignment.objects.count() == count
    assert Assignment.objects.filter(profile=PROFILE_CONTROL_PLANE).count() == 3
    indexes = Assignment.objects.values_list("pod_index", flat=True)
    assert set(indexes) == set(range(count))
    assert AssignedRole.objects.count() == count + 3


def test_schedulers_at_once_make_one_control_plane_and_place_everybody_once(cluster):
    make_fleet(600)
    results = at_once(*[lambda: run_scheduler(cluster=cluster, now=LATER)] * 4)
    assert not [result for result in results if isinstance(result, Exception)]
    run_scheduler(cluster=cluster, now=LATER)
    assert_sound(600)
    assert sum(result.control_plane for result in results) == 3


def test_a_scheduler_against_operators_who_assign_the_same_machines(cluster):
    make_fleet(40)
    machines = list(Machine.objects.order_by("pk"))
    calls = [
        lambda m=machine: assign_roles(machine=m, roles=["kubernetes-node"], actor="ada")
        for machine in machines[10:14]
    ]
    results = at_once(*calls, *[lambda: run_scheduler(cluster=cluster, now=LATER)] * 2)
    assert not [r for r in results if isinstance(r, Exception) and not isinstance(r, Conflict)]
    run_scheduler(cluster=cluster, now=LATER)
    assert_sound(40)


def test_operators_who_fill_the_control_plane_while_the_scheduler_does_make_no_hole_in_it(cluster):
    make_fleet(6)
    roles = ["etcd-member", "kubernetes-control-plane"]
    machines = list(Machine.objects.order_by("pk"))[3:]
    calls = [
        lambda m=machine: assign_roles(machine=m, roles=roles, actor="ada") for machine in machines
    ]
    *given, placed = at_once(*calls, lambda: run_scheduler(cluster=cluster, now=LATER))
    run_scheduler(cluster=cluster, now=LATER)
    members = Assignment.objects.filter(profile=PROFILE_CONTROL_PLANE)
    by_scheduler = members.filter(assigned_by="scheduler").count()
    by_ada = members.filter(assigned_by="ada").count()
    # The scheduler filled up what was missing when it came: operators after it added theirs, but
    # not to a machine that it had made a node.
    assert placed.control_plane <= by_scheduler <= 3 <= members.count()
    assert all(isinstance(one, (Assignment, Conflict)) for one in given)
    kept = [one for one in given if isinstance(one, Assignment)]
    assert sum(one.assigned_by == "ada" for one in kept) == by_ada
    assert by_scheduler + by_ada == members.count()


def test_the_scheduler_stays_away_from_a_control_plane_that_operators_filled(cluster):
    make_fleet(6)
    roles = ["etcd-member", "kubernetes-control-plane"]
    for machine in list(Machine.objects.order_by("pk"))[3:]:
        assign_roles(machine=machine, roles=roles, actor="ada")
    run_scheduler(cluster=cluster, now=LATER)
    members = Assignment.objects.filter(profile=PROFILE_CONTROL_PLANE)
    assert set(members.values_list("assigned_by", flat=True)) == {"ada"}
    assert_sound(6)


def test_the_same_request_eight_times_at_once_gives_the_roles_once(cluster):
    machine = make_machine(1)
    roles = ["etcd-member", "kubernetes-control-plane"]
    results = at_once(*[lambda: assign_roles(machine=machine, roles=roles, actor="ada")] * 8)
    assert [type(result) for result in results] == [Assignment] * 8
    assert list(AssignedRole.objects.values_list("role", flat=True)) == roles


def test_contradicting_requests_at_once_leave_a_possible_set(cluster):
    machine = make_machine(1)
    calls = [
        lambda role=role: assign_roles(machine=machine, roles=[role], actor="ada")
        for role in ("kubernetes-node", "etcd-member", "kubernetes-control-plane") * 2
    ]
    results = at_once(*calls)
    held = set(AssignedRole.objects.values_list("role", flat=True))
    assert held in ({"kubernetes-node"}, {"etcd-member", "kubernetes-control-plane"})
    assert Counter(type(r) for r in results).keys() == {Assignment, Conflict}


def test_one_boot_mac_gets_one_holder_also_at_once(cluster):
    twins = [make_machine(1), make_machine(2, boot_mac=mac_of(1))]
    calls = [
        lambda m=twin: assign_roles(machine=m, roles=["kubernetes-node"], actor="ada")
        for twin in twins * 2
    ]
    at_once(*calls)
    assert Assignment.objects.count() == 1


def test_values_set_at_once_are_all_kept(cluster):
    wanted = {"pod_prefix": 25, "timezone": "Asia/Tokyo", "network_mtu": 9000}
    changes = [{key: value} for key, value in wanted.items()]
    at_once(*[lambda c=c: set_values(cluster=cluster, changes=c, actor="ada") for c in changes])
    cluster.refresh_from_db()
    assert cluster.values == wanted


def test_release_and_approval_at_once_both_end(cluster):
    machine = make_machine(1)
    assignment = assign_roles(machine=machine, roles=["kubernetes-node"], actor="ada")
    machine.interfaces.update(ipv4="10.64.9.9")
    results = at_once(
        lambda: release_machine(machine=machine, actor="ada", reason="x"),
        lambda: release_machine(machine=machine, actor="eve", reason="x"),
        lambda: approve_pins(assignment=assignment, actor="ada"),
    )
    assert not Assignment.objects.exists()
    assert all(result is None or isinstance(result, (Conflict, list)) for result in results)


def test_a_pass_that_read_too_early_writes_nothing(cluster, monkeypatch):
    make_fleet(4)
    real, moved = candidates.read_pool, list[object]()

    def read_and_get_beaten(**kwargs):
        pool = real(**kwargs)
        moved.append(
            update_cluster(cluster=Cluster.objects.get(), actor="x", settle_seconds=len(moved))
        )
        return pool

    monkeypatch.setattr(scheduler, "read_pool", read_and_get_beaten)
    result = run_scheduler(cluster=cluster, now=LATER)
    assert result.is_beaten
    assert len(moved) == scheduler.ATTEMPTS
    assert not Assignment.objects.exists()


def test_a_claim_is_lost_when_the_version_moved(cluster):
    stale = Cluster.objects.get()
    claim_cluster(cluster)
    with pytest.raises(LostRace):
        claim_cluster(stale)


def test_one_machine_that_cannot_be_written_does_not_hold_up_the_others(cluster, monkeypatch):
    make_fleet(20)
    real = pins.new_assignment
    poisoned = Machine.objects.get(boot_mac=mac_of(11)).pk

    def refuse_one(**kwargs):
        if kwargs["machine_id"] == poisoned:
            raise IntegrityError("as if another writer held it")
        return real(**kwargs)

    monkeypatch.setattr(scheduler, "new_assignment", refuse_one)
    result = run_scheduler(cluster=cluster, now=LATER)
    assert (result.control_plane, result.nodes) == (3, 16)
    assert not Assignment.objects.filter(machine_id=poisoned).exists()


def test_a_machine_whose_mac_moved_while_the_plan_was_made_waits(cluster, monkeypatch):
    make_fleet(5)
    real = candidates.read_pool

    def read_and_change(**kwargs):
        pool = real(**kwargs)
        Machine.objects.get(boot_mac=mac_of(5)).interfaces.update(mac=mac_of(99))
        return pool

    monkeypatch.setattr(scheduler, "read_pool", read_and_change)
    result = run_scheduler(cluster=cluster, now=LATER)
    assert (result.control_plane, result.nodes) == (3, 1)
