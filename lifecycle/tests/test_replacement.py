"""Guided replacement of a control-plane member, from check to retire."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from enjoliver.common.errors import Conflict, InvalidInput
from lifecycle.models import (
    ChangeClock,
    IgnitionReport,
    InstallOutcome,
    Replacement,
    ReplacementState,
    ReplacementStep,
    Slot,
    StrategyName,
)
from lifecycle.services import (
    advance_replacement,
    advance_replacements,
    cancel_replacement,
    choose_again,
    end_maintenance,
    plan_replacement,
    read_leave,
    read_members,
    reinstall_harm,
    retire_machine,
    set_strategy,
    start_maintenance,
    start_replacement,
)
from lifecycle.services import replacement as replacements
from lifecycle.services import replacementsteps as steps
from lifecycle.tests.factories import NOON, AttemptFactory, SlotFactory
from machines.models import Event, Machine
from machines.services import mark_installed
from machines.tests.factories import mac_of
from scheduling.models import Assignment, Waiting
from scheduling.roles import PROFILE_CONTROL_PLANE, WaitCode
from scheduling.services import (
    assign_roles,
    default_cluster,
    plan_swap,
    readmit_machine,
    release_machine,
    run_scheduler,
    set_requirements,
    update_cluster,
)
from scheduling.tests.factories import ClusterFactory, make_machine

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)


def report(machine, at=NOON, is_up_to_date=True):
    Machine.objects.filter(pk=machine.pk).update(installed_at=at, reinstall_requested_at=None)
    IgnitionReport.objects.update_or_create(
        machine=machine,
        defaults={"is_up_to_date": is_up_to_date, "reported_at": at, "created_at": at},
    )


@pytest.fixture
def cluster(db):
    """Three members in racks 1 to 3, the first one dead; free: one in rack 1, one in rack 2."""
    cluster = default_cluster()
    update_cluster(cluster=cluster, actor="test", spread_level="rack")
    set_requirements(cluster=cluster, role="node", actor="test", count=0)
    for number, rack in ((1, 1), (2, 2), (3, 3)):
        make_machine(number, fqdn=f"r{rack}-srv{number}.dc1.x")
    run_scheduler(cluster=cluster, now=NOON)
    for number in (1, 2, 3):
        report(machine(number), at=NOON if number > 1 else NOON - HOUR)
    for number, rack in ((4, 2), (5, 1)):
        make_machine(number, fqdn=f"r{rack}-srv{number}.dc1.x")
    run_scheduler(cluster=cluster, now=NOON)
    return cluster


def machine(number):
    return Machine.objects.get(boot_mac=mac_of(number))


def members():
    rows = Assignment.objects.filter(profile=PROFILE_CONTROL_PLANE)
    return sorted(rows.values_list("boot_mac", flat=True))


def begin(number=1, **changes):
    wanted: dict[str, Any] = {"actor": "ada", "reason": "dead board", "now": NOON} | changes
    return start_replacement(machine=machine(number), **wanted)


def assigning(cluster, leaving=1, **changes):
    """A replacement whose spare was chosen a while ago."""
    wanted: dict[str, Any] = {
        "leaving": machine(leaving),
        "leaving_mac": mac_of(leaving),
        "step": ReplacementStep.ASSIGN,
        "reason": "x",
        "started_by": "ada",
        "started_at": NOON,
        "step_at": NOON,
    } | changes
    return Replacement.objects.create(cluster=cluster, **wanted)


def look(row, seconds):
    return advance_replacement(replacement=row, now=NOON + seconds * SECOND)


def test_a_plan_shows_spares_obstacles_and_warnings_and_changes_nothing(cluster):
    plan = plan_replacement(machine=machine(1), now=NOON)
    assert [spare.mac for spare in plan.swap.spares] == [mac_of(5), mac_of(4)]
    assert plan.judgement.obstacles == ()
    assert members() == [mac_of(1), mac_of(2), mac_of(3)]


def test_from_the_check_to_the_retired_machine(cluster):
    row = begin()
    assert members() == [mac_of(2), mac_of(3), mac_of(5)]
    assert (row.step, row.score_before) == (ReplacementStep.INSTALL, 100)
    assert "switched on" in row.waits_for
    mark_installed(machine=machine(5), at=NOON + 60 * SECOND)
    row = look(row, 60)
    assert (row.step, "not reported yet" in row.waits_for) == (ReplacementStep.REPORT, True)
    report(machine(5), at=NOON + 90 * SECOND)
    row = look(row, 90)
    assert (row.state, row.step) == (ReplacementState.COMPLETED, ReplacementStep.DONE)
    assert (row.score_after, row.waits_for) == (100, "")
    assert Waiting.objects.get(machine=machine(1)).code == WaitCode.RETIRED
    old = machine(1)
    assert old.installed_at is None
    assert old.reinstall_requested_at is not None
    kinds = set(Event.objects.filter(machine=old).values_list("kind", flat=True))
    assert {"replacement_began", "replacement_completed", "machine_retired"} <= kinds


def test_the_operator_may_choose_the_spare(cluster):
    assert begin(spare=machine(4)).joining == machine(4)
    assert members() == [mac_of(2), mac_of(3), mac_of(4)]


def test_a_machine_that_cannot_take_the_place_is_refused_at_once(cluster):
    with pytest.raises(Conflict, match="cannot take the place"):
        begin(spare=machine(2))
    assert not Replacement.objects.exists()


def test_without_a_quorum_it_does_not_begin(cluster):
    report(machine(2), at=NOON - HOUR)
    with pytest.raises(Conflict, match="a quorum needs 2"):
        begin()
    with pytest.raises(InvalidInput):
        begin(reason=" ")
    with pytest.raises(Conflict, match="no member"):
        begin(number=4)
    assert members() == [mac_of(1), mac_of(2), mac_of(3)]


def test_one_at_a_time(cluster):
    begin()
    report(machine(5))
    with pytest.raises(Conflict, match="one at a time"):
        begin(number=2)
    assert Replacement.objects.count() == 1


def test_it_waits_for_a_spare_and_goes_on_by_itself(cluster):
    for number in (4, 5):
        retire_machine(machine=machine(number), actor="ada", reason="sold")
    row = begin()
    assert (row.step, row.state) == (ReplacementStep.CHOOSE, ReplacementState.RUNNING)
    assert "no machine is free" in row.waits_for
    make_machine(6)
    advance_replacements(now=NOON + SECOND)
    assert members() == [mac_of(2), mac_of(3), mac_of(6)]


def test_the_quorum_is_looked_at_again_before_the_places_change(cluster):
    for number in (4, 5):
        retire_machine(machine=machine(number), actor="ada", reason="sold")
    row = begin()
    report(machine(2), at=NOON - HOUR)
    make_machine(6)
    assert "a quorum needs 2" in look(row, 1).waits_for
    assert members() == [mac_of(1), mac_of(2), mac_of(3)]
    report(machine(2), at=NOON + SECOND)
    assert look(row, 2).step == ReplacementStep.INSTALL


@pytest.mark.parametrize("step", [ReplacementStep.CHECK, ReplacementStep.ASSIGN])
def test_whoever_is_overtaken_between_two_reads_looks_again(cluster, monkeypatch, step):
    for number in (4, 5):
        retire_machine(machine=machine(number), actor="ada", reason="sold")
    row = begin()
    make_machine(6)
    if step == ReplacementStep.ASSIGN:
        chosen = {"step": step, "joining": machine(6), "waits_for": ""}
        Replacement.objects.filter(pk=row.pk).update(**chosen)

    def read_after_somebody_else(*arguments):
        monkeypatch.setattr(steps, "read_members", read_members)
        look(row, 1)
        return read_members(*arguments)

    monkeypatch.setattr(steps, "read_members", read_after_somebody_else)
    row = look(row, 1)
    assert (row.step, "switched on" in row.waits_for) == (ReplacementStep.INSTALL, True)
    assert members() == [mac_of(2), mac_of(3), mac_of(6)]


def test_a_spare_that_is_forgotten_as_it_is_chosen_is_passed_over(cluster, monkeypatch):
    def plan_with_one_that_went(*, machine):
        monkeypatch.setattr(steps, "plan_swap", plan_swap)
        plan = plan_swap(machine=machine)
        return replace(plan, spares=(replace(plan.spares[0], machine_id=0), *plan.spares))

    monkeypatch.setattr(steps, "plan_swap", plan_with_one_that_went)
    assert begin().step == ReplacementStep.INSTALL
    assert members() == [mac_of(2), mac_of(3), mac_of(5)]


def test_one_that_fails_stops_no_other(cluster, monkeypatch):
    first = begin()
    other = ClusterFactory.create()
    second = Replacement.objects.create(
        cluster=other, leaving_mac=mac_of(9), reason="dead", started_at=NOON, step_at=NOON
    )
    advance, seen = replacements.advance_replacement, []

    def advance_second(*, replacement, now):
        seen.append(replacement.pk)
        if replacement.pk == first.pk:
            raise RuntimeError("as if it were broken")
        return advance(replacement=replacement, now=now)

    monkeypatch.setattr(replacements, "advance_replacement", advance_second)
    with pytest.raises(RuntimeError, match="as if"):
        advance_replacements(now=NOON)
    assert seen == [first.pk, second.pk]
    second.refresh_from_db()
    assert "cancel this replacement" in second.waits_for


def test_looking_again_writes_nothing_while_it_waits(cluster):
    row = begin()
    version = row.version
    for seconds in range(5):
        look(row, seconds)
    row.refresh_from_db()
    assert row.version == version


def test_a_failed_install_is_said_and_ends_by_itself_or_by_another_spare(cluster):
    row = begin()
    AttemptFactory.create(machine=machine(5), outcome=InstallOutcome.FAILED, granted_at=NOON)
    assert "failed" in look(row, 10).waits_for
    row = choose_again(replacement=row, actor="ada", now=NOON + 20 * SECOND)
    assert (row.joining, row.step) == (machine(4), ReplacementStep.INSTALL)
    assert members() == [mac_of(2), mac_of(3), mac_of(4)]
    assert Waiting.objects.get(machine=machine(5)).code == WaitCode.RELEASED
    assert machine(5).reinstall_requested_at is not None, "it may still finish its install"
    with pytest.raises(Conflict, match="no machine is free"):
        choose_again(replacement=row, actor="ada", now=NOON + 30 * SECOND)
    assert members() == [mac_of(2), mac_of(3), mac_of(4)]


def test_a_new_member_that_is_installed_is_not_exchanged_any_more(cluster):
    row = begin()
    mark_installed(machine=machine(5), at=NOON + SECOND)
    with pytest.raises(Conflict, match="installed already"):
        choose_again(replacement=row, actor="ada", now=NOON + 2 * SECOND)


def test_a_spare_with_a_former_life_is_installed_again(cluster):
    report(machine(5), at=NOON - HOUR)
    row = begin()
    assert machine(5).reinstall_requested_at is not None
    assert "switched on" in row.waits_for


def test_cancelled_before_the_swap_nothing_has_changed(cluster):
    for number in (4, 5):
        retire_machine(machine=machine(number), actor="ada", reason="sold")
    row = cancel_replacement(replacement=begin(), actor="bob", reason="it came back")
    assert (row.state, row.waits_for) == (ReplacementState.CANCELLED, "cancelled: it came back")
    make_machine(6)
    assert look(row, 10).state == ReplacementState.CANCELLED
    assert members() == [mac_of(1), mac_of(2), mac_of(3)]
    with pytest.raises(Conflict, match="ended already"):
        cancel_replacement(replacement=row, actor="bob", reason="")


def test_cancelled_after_the_swap_the_new_member_stays_and_another_one_may_begin(cluster):
    cancel_replacement(replacement=begin(), actor="bob", reason="by hand")
    assert members() == [mac_of(2), mac_of(3), mac_of(5)]
    assert Waiting.objects.get(machine=machine(1)).code == WaitCode.RELEASED
    report(machine(5))
    begin(number=2)


def test_an_old_member_that_got_another_role_meanwhile_is_left_alone(cluster):
    row = begin()
    readmit_machine(machine=machine(1), actor="ada")
    assign_roles(machine=machine(1), roles=["kubernetes-node"], actor="ada")
    report(machine(5), at=NOON + SECOND)
    assert look(row, 2).state == ReplacementState.COMPLETED
    assert Assignment.objects.get(machine=machine(1)).profile == "kubernetes-node"


def test_an_old_member_that_was_forgotten_changes_nothing_for_the_new_one(cluster):
    row = begin()
    machine(1).delete()
    report(machine(5), at=NOON + SECOND)
    assert look(row, 2).state == ReplacementState.COMPLETED


def test_a_spare_that_got_a_role_meanwhile_is_passed_over(cluster):
    row = begin(spare=None)
    Replacement.objects.filter(pk=row.pk).delete()
    assign_roles(machine=machine(4), roles=["kubernetes-node"], actor="bob")
    stale = assigning(cluster, leaving=2, joining=machine(4))
    report(machine(5))
    stale = look(stale, 1)
    assert (stale.step, "no machine is free" in stale.waits_for) == (ReplacementStep.CHOOSE, True)


def test_the_slot_of_a_retired_machine_is_freed_and_its_maintenance_ended(cluster):
    SlotFactory.create(machine=machine(4))
    start_maintenance(machine=machine(4), actor="ada", reason="a new disk")
    assert retire_machine(machine=machine(4), actor="ada", reason="sold")
    assert not Slot.objects.exists()
    assert not retire_machine(machine=machine(4), actor="ada", reason="sold")
    with pytest.raises(InvalidInput):
        retire_machine(machine=machine(5), actor="ada", reason="")


def test_a_spare_that_became_unfit_while_the_quorum_was_away_is_passed_over(cluster):
    stale = assigning(cluster, joining=machine(5))
    start_maintenance(machine=machine(5), actor="bob", reason="a new disk")
    assert look(stale, 1).joining == machine(4)
    assert members() == [mac_of(2), mac_of(3), mac_of(4)]


def test_a_spare_chosen_by_hand_that_became_unfit_is_waited_for(cluster):
    stale = assigning(cluster, joining=machine(5), is_joining_chosen_by_operator=True)
    start_maintenance(machine=machine(5), actor="bob", reason="a new disk")
    assert "cannot take the place" in look(stale, 1).waits_for
    assert members() == [mac_of(1), mac_of(2), mac_of(3)]
    end_maintenance(machine=machine(5), actor="bob")
    assert look(stale, 2).step == ReplacementStep.INSTALL
    assert members() == [mac_of(2), mac_of(3), mac_of(5)]


def test_a_spare_that_was_forgotten_before_the_swap_is_chosen_anew(cluster):
    stale = assigning(cluster, joining=machine(5))
    machine(5).delete()
    assert look(stale, 1).joining == machine(4)


def test_no_slot_is_taken_between_the_last_look_at_the_quorum_and_the_swap(cluster, monkeypatch):
    stale = assigning(cluster, joining=machine(5))
    seen = []

    def read(*arguments):
        seen.append(ChangeClock.objects.filter(slots_version__gt=0).exists())
        return read_members(*arguments)

    monkeypatch.setattr(steps, "read_members", read)
    assert look(stale, 1).step == ReplacementStep.INSTALL
    assert seen == [True], "whoever takes a slot must wait meanwhile"


def test_a_new_member_that_lost_its_place_again_is_said(cluster):
    row = begin()
    release_machine(machine=machine(5), actor="bob", reason="wrong one")
    assert "no place any more" in look(row, 1).waits_for
    report(machine(5), at=NOON + SECOND)
    assert "no place any more" in look(row, 2).waits_for
    assert machine(1).reinstall_requested_at is None
    with pytest.raises(Conflict, match="cancel this replacement"):
        choose_again(replacement=row, actor="ada", now=NOON + 3 * SECOND)


def test_a_new_member_that_was_forgotten_is_said(cluster):
    row = begin()
    release_machine(machine=machine(5), actor="bob", reason="sold")
    machine(5).delete()
    assert "cancel this replacement" in look(row, 1).waits_for


def test_what_a_spare_reported_in_its_former_life_does_not_count(cluster):
    row = begin()
    report(machine(5), at=NOON + 5 * SECOND)
    mark_installed(machine=machine(5), at=NOON + 10 * SECOND)
    row = look(row, 20)
    assert (row.step, "not reported yet" in row.waits_for) == (ReplacementStep.REPORT, True)
    report(machine(5), at=NOON + 30 * SECOND)
    assert look(row, 31).state == ReplacementState.COMPLETED


def test_a_clock_that_stepped_back_holds_no_replacement_up(cluster):
    row = begin()
    earlier = -5 * HOUR // SECOND
    mark_installed(machine=machine(5), at=NOON + earlier * SECOND)
    assert look(row, earlier + 10).step == ReplacementStep.REPORT
    report(machine(5), at=NOON + (earlier + 20) * SECOND)
    assert look(row, earlier + 21).state == ReplacementState.COMPLETED


def test_whoever_chooses_again_while_it_goes_on_is_told_so(cluster, monkeypatch):
    for number in (4, 5):
        retire_machine(machine=machine(number), actor="ada", reason="sold")
    row = begin()
    write = steps.write

    def write_second(*arguments, **changes):
        monkeypatch.setattr(steps, "write", write)
        Replacement.objects.filter(pk=row.pk).update(version=row.version + 1)
        write(*arguments, **changes)

    monkeypatch.setattr(steps, "write", write_second)
    with pytest.raises(Conflict, match="went on at the same moment"):
        choose_again(replacement=row, actor="ada", now=NOON + SECOND)


def test_another_spare_that_cannot_take_the_place_is_refused_before_the_swap_too(cluster):
    stale = assigning(cluster, joining=machine(5))
    report(machine(2), at=NOON - HOUR)
    with pytest.raises(Conflict, match="cannot take the place"):
        choose_again(replacement=stale, actor="ada", spare=machine(3), now=NOON)
    stale.refresh_from_db()
    assert (stale.joining, stale.is_joining_chosen_by_operator) == (machine(5), False)


def test_no_other_member_gets_leave_by_hand_while_a_replacement_runs(cluster):
    row = begin()
    for number in (2, 5):
        set_strategy(machine=machine(number), strategy=StrategyName.REBOOT, actor="ada")

    def refusal(number):
        leave = read_leave(machine=machine(number))
        assert leave is not None
        return leave.refusal

    assert "is being replaced" in refusal(2)
    assert refusal(5) == "", "it may bring itself up to date"
    cancel_replacement(replacement=row, actor="ada", reason="by hand")
    assert refusal(2) == ""


def test_a_reinstall_of_a_working_member_is_spoken_against(cluster):
    assert "etcd data would be lost" in (reinstall_harm(machine(2)) or "")
    assert reinstall_harm(machine(4)) is None


def test_a_look_costs_a_bounded_number_of_queries(cluster, django_assert_max_num_queries):
    row = begin()
    with django_assert_max_num_queries(12):
        look(row, 1)
