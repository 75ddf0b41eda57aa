"""Facts about the members of a control plane, in a constant number of queries."""

from __future__ import annotations

from datetime import datetime

from lifecycle.maintained import maintenance_machine_ids
from lifecycle.models import (
    IgnitionReport,
    InstallAttempt,
    InstallOutcome,
    InstallWaiter,
    RolloutMachine,
    Slot,
)
from lifecycle.replacing import MemberFacts, NewcomerFacts, others_left
from lifecycle.rules.states import ACTIVE_STATES, FAILED, UPDATING
from machines.models import Machine
from scheduling.models import Assignment
from scheduling.roles import PROFILE_CONTROL_PLANE


def read_members(cluster_id: int, now: datetime) -> list[MemberFacts]:
    """The members of the cluster's control plane, by MAC; five queries."""
    rows = Assignment.objects.filter(cluster=cluster_id, profile=PROFILE_CONTROL_PLANE)
    columns = ("machine_id", "boot_mac", "machine__installed_at")
    found = list(rows.order_by("boot_mac").values_list(*columns))
    ids = [pk for pk, _, _ in found]
    reports = IgnitionReport.objects.filter(pk__in=ids)
    reported = dict(reports.values_list("pk", "reported_at"))
    held = set(Slot.objects.filter(machine__in=ids).values_list("machine_id", flat=True))
    away = maintenance_machine_ids(ids, now)
    places = RolloutMachine.objects.filter(machine__in=ids, rollout__state__in=ACTIVE_STATES)
    changing = set(places.order_by().values_list("machine_id", "state"))
    return [
        MemberFacts(
            machine_id=pk,
            mac=mac,
            is_installed=installed is not None,
            reported_at=reported.get(pk),
            is_in_maintenance=pk in away,
            holds_slot=pk in held,
            is_updating=(pk, UPDATING) in changing,
            has_failed=(pk, FAILED) in changing,
        )
        for pk, mac, installed in found
    ]


def membership_of(machine: Machine) -> int | None:
    """The cluster whose control plane `machine` is a member of, or None."""
    rows = Assignment.objects.filter(machine=machine, profile=PROFILE_CONTROL_PLANE)
    return rows.values_list("cluster_id", flat=True).first()


def loss_of_quorum(machine: Machine, now: datetime) -> str:
    """What taking `machine` away now would do to its control plane; "" when nothing bad.

    A member that is away already takes nothing with it.
    """
    cluster_id = membership_of(machine)
    if cluster_id is None:
        return ""
    members = read_members(cluster_id, now)
    own = next((one for one in members if one.machine_id == machine.pk), None)
    if own is None or own.absence(now):
        return ""
    left, quorum = others_left(members, {machine.pk}, now)
    if left >= quorum:
        return ""
    return f"{left} of {len(members)} members of the control plane would be left, {quorum} needed"


def reinstall_harm(machine: Machine) -> str | None:
    """What a reinstall of `machine` would destroy, for `add_reinstall_objection`."""
    if membership_of(machine) is None or machine.installed_at is None:
        return None
    return (
        "it is an installed member of the control plane, whose etcd data would be lost: replace "
        "it instead"
    )


def read_newcomer(machine: Machine, since: datetime) -> NewcomerFacts:
    """What is known of the machine that took a place at `since`."""
    machine.refresh_from_db(fields=["installed_at", "reinstall_requested_at"])
    attempts = InstallAttempt.objects.filter(machine=machine, granted_at__gte=since)
    attempt = attempts.order_by("-pk").first()
    report = IgnitionReport.objects.filter(pk=machine.pk).first()
    waiter = InstallWaiter.objects.filter(machine=machine).exists()
    return NewcomerFacts(
        mac=machine.boot_mac,
        is_installed=machine.installed_at is not None and machine.reinstall_requested_at is None,
        install_failed=attempt is not None and attempt.outcome == InstallOutcome.FAILED,
        install_stalled=attempt is not None and attempt.outcome == InstallOutcome.STALLED,
        waits_at_gate=waiter,
        reported_at=report.reported_at if report else None,
        is_up_to_date=report is not None and report.is_up_to_date,
    )
