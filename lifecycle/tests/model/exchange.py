"""What must hold while members of a control plane are replaced, said a second time."""

from collections import Counter
from datetime import timedelta

PATIENCE = timedelta(minutes=10)


def check_replacements(before, now, *, is_step):
    """One at a time; places change in one step, and only while the others are a quorum."""
    running = [row for row in now.replacements.values() if row.state == "running"]
    busy = Counter(row.cluster_id for row in running)
    assert not busy or max(busy.values()) == 1, f"two replacements at once: {running}"
    for pk, old in before.replacements.items():
        state = now.replacements[pk].state
        assert old.state in ("running", state), f"{old} was over, and is {state}"
    for row in running if is_step else ():
        assert row.waits_for.strip(), f"{row} goes no further and says nothing"
    came, went = now.plane() - before.plane(), before.plane() - now.plane()
    assert len(came) == len(went) <= 1, f"{went} went and {came} came at once"
    for machine_id in came:
        check_swap(now, machine_id)
    for pk, row in now.replacements.items():
        if row.state == "completed" and before.replacements[pk].state == "running":
            check_completed(now, row)


def check_swap(now, machine_id):
    """It has its place since just now."""
    others = now.plane() - {machine_id}
    changing = [pk for pk in others if pk in now.holders or is_updating(now, pk)]
    assert not changing, f"places changed while {changing} of the control plane change"
    there = [pk for pk in others if can_be_counted_on(now, pk)]
    assert len(there) > len(now.plane()) // 2, f"only {there} of the control plane are left"
    assert machine_id not in now.cared_for, "a machine in maintenance got a place"
    assert any(
        row.joining_id == machine_id and row.state == "running" for row in now.replacements.values()
    ), "a machine got a place outside of a replacement"


def check_completed(now, row):
    """The new one runs what it should; the old one has no place, and boots nothing of before."""
    assert row.joining_id in now.plane(), "completed without the new member"
    report, desired = now.reports[row.joining_id], now.desired[row.joining_id]
    assert report.reported_at >= now.machines[row.joining_id].installed_at
    assert desired.sha512 in (report.sha512, report.canonical_sha512), "completed, but outdated"
    if row.leaving_id not in now.profiles:
        old = now.machines[row.leaving_id]
        assert old.installed_at is None, "what is on the old one's disk still boots"
        assert row.leaving_id not in now.holders, "the old one holds a slot"


def is_updating(now, machine_id):
    """In an active rollout, until a report confirms it."""
    place = now.by_machine.get(machine_id)
    return place is not None and place.state == "updating"


def can_be_counted_on(now, machine_id):
    """It reported a short while ago, and nothing speaks against it."""
    machine, report = now.machines[machine_id], now.reports.get(machine_id)
    place = now.by_machine.get(machine_id)
    return (
        machine.installed_at is not None
        and report is not None
        and abs(now.now - report.reported_at) <= PATIENCE
        and machine_id not in now.holders
        and machine_id not in now.cared_for
        and (place is None or place.state == "open")
    )
