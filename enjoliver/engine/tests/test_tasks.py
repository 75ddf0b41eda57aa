"""The engine's tasks: one call of a service each."""

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone

from enjoliver.common.leases import hold_lease
from enjoliver.common.models import Heartbeat
from enjoliver.engine import pruning
from enjoliver.engine.tasks import beat_worker, prune
from machines.models import Event, StateChange
from machines.tests.factories import EventFactory, StateChangeFactory

pytestmark = pytest.mark.django_db


def test_the_worker_leaves_a_sign_of_life():
    before = timezone.now()
    beat_worker()
    row = Heartbeat.objects.get(name="worker")
    assert before <= row.at <= timezone.now()
    assert ":" in row.detail


def test_what_is_older_than_the_history_goes(settings):
    settings.HISTORY_DAYS = 30
    old = timezone.now() - timedelta(days=31)
    new = timezone.now() - timedelta(days=29)
    for at in (old, new):
        EventFactory(at=at)
        StateChangeFactory(at=at)
    prune()
    assert [event.at for event in Event.objects.filter(kind="discovered")] == [new]
    assert StateChange.objects.filter(at=new).exists()


def test_sessions_that_ended_go():
    now = timezone.now()
    for key, days in (("old", -1), ("new", 1)):
        Session.objects.create(
            session_key=key, session_data="", expire_date=now + timedelta(days=days)
        )
    prune()
    assert [session.pk for session in Session.objects.all()] == ["new"]


def test_a_service_of_pruning_that_fails_stops_no_other(monkeypatch):
    pruned = []
    monkeypatch.setattr(pruning, "prune_attempts", lambda **_: 1 / 0)
    monkeypatch.setattr(pruning, "prune_rollouts", lambda **_: pruned.append("rollouts"))
    monkeypatch.setattr(pruning, "prune_revisions", lambda **_: pruned.append("revisions"))
    with pytest.raises(ZeroDivisionError):
        prune()
    assert pruned == ["rollouts", "revisions"]


def test_two_prunings_do_not_run_at_once():
    EventFactory()
    with hold_lease("prune", seconds=3600):
        prune()
    assert Event.objects.filter(kind="discovered").exists()
    prune()
    assert not Event.objects.filter(kind="discovered").exists()


def test_every_task_of_the_beat_schedule_exists(settings):
    from enjoliver.celery import app

    app.loader.import_default_modules()
    for entry in settings.CELERY_BEAT_SCHEDULE.values():
        assert entry["task"] in app.tasks, entry["task"]
