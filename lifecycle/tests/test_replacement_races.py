"""A replacement that many workers advance at once, beside a scheduler that runs."""

import pytest

from lifecycle.models import IgnitionReport, Replacement, ReplacementStep
from lifecycle.services import advance_replacement
from lifecycle.tests.factories import NOON
from lifecycle.tests.races import all_at_once
from machines.models import Event, Machine
from machines.tests.factories import mac_of
from scheduling.models import Assignment
from scheduling.roles import PROFILE_CONTROL_PLANE
from scheduling.services import default_cluster, run_scheduler, set_requirements
from scheduling.tests.factories import make_machine

pytestmark = pytest.mark.django_db(transaction=True)


def test_many_at_once_change_the_places_once_and_the_scheduler_adds_nobody():
    cluster = default_cluster()
    set_requirements(cluster=cluster, role="node", actor="test", count=0)
    for number in (1, 2, 3):
        machine = make_machine(number, running=True)
        IgnitionReport.objects.create(
            machine=machine, is_up_to_date=True, reported_at=NOON, created_at=NOON
        )
    run_scheduler(cluster=cluster, now=NOON)
    for number in (4, 5, 6):
        make_machine(number)
    row = Replacement.objects.create(
        cluster=cluster,
        leaving=Machine.objects.get(boot_mac=mac_of(1)),
        leaving_mac=mac_of(1),
        reason="dead",
        started_by="ada",
        started_at=NOON,
        step_at=NOON,
    )

    def work(kind: str) -> object:
        if kind == "schedule":
            return run_scheduler(cluster=cluster, now=NOON)
        return advance_replacement(replacement=row, now=NOON)

    all_at_once(work, ["advance", "schedule", "advance", "advance", "schedule", "advance"])
    members = Assignment.objects.filter(profile=PROFILE_CONTROL_PLANE)
    held = sorted(members.values_list("boot_mac", flat=True))
    assert held == [mac_of(2), mac_of(3), mac_of(4)]
    row.refresh_from_db()
    assert (row.step, row.joining) == (
        ReplacementStep.INSTALL,
        members.get(boot_mac=held[-1]).machine,
    )
    assert Event.objects.filter(kind="role_released").count() == 1
