"""Counts for metrics."""

from datetime import timedelta

import pytest

from lifecycle.models import IgnitionReport
from lifecycle.reads import count_changes, count_reports
from lifecycle.services import ask_to_install
from lifecycle.tests.factories import NOON, SlotFactory, query_of
from machines.tests.factories import MachineFactory

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


def report(machine, at, is_up_to_date=True):
    IgnitionReport.objects.create(
        machine=machine, is_up_to_date=is_up_to_date, reported_at=at, created_at=NOON
    )


def test_reports_are_counted_by_verdict_and_silence(django_assert_num_queries):
    heard, late, outdated, never, fresh = MachineFactory.create_batch(5, installed_at=NOON)
    MachineFactory.create()
    now = NOON + 10 * MINUTE
    fresh.installed_at = now
    fresh.save()
    report(heard, now - MINUTE)
    report(late, now - 7 * MINUTE)
    report(outdated, now, is_up_to_date=False)
    with django_assert_num_queries(2):
        counts = count_reports(silent_after=5 * MINUTE, now=now)
    assert (counts.up_to_date, counts.outdated) == (2, 1)
    assert counts.silent == len([late, never])
    assert counts.oldest_report_at == now - 7 * MINUTE


def test_an_empty_fleet_has_no_oldest_report():
    assert count_reports(silent_after=MINUTE).oldest_report_at is None
    changes = count_changes()
    assert (changes.slots, changes.slots_held, changes.oldest_slot_at) == (1, 0, None)


def test_slots_and_installs_are_counted(django_assert_num_queries):
    SlotFactory.create()
    for machine in MachineFactory.create_batch(3):
        ask_to_install(machine=machine, raw_query=query_of(machine), source=None)
    with django_assert_num_queries(4):
        changes = count_changes()
    assert (changes.slots, changes.slots_held, changes.oldest_slot_at) == (1, 1, NOON)
    assert (changes.installs_open, changes.installs_queued) == (1, 2)
