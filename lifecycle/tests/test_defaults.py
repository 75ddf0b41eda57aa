"""What is there from the first migration."""

import pytest

from lifecycle.models import InstallGate, LockGroup
from lifecycle.tasks import end_stalled_installs

pytestmark = pytest.mark.django_db


def test_the_gate_and_the_group_default_are_there():
    assert InstallGate.objects.get().site == "default"
    group = LockGroup.objects.get()
    assert (group.name, group.slots) == ("default", 1)


def test_beat_runs_the_task_by_its_name(settings):
    names = {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    assert end_stalled_installs.name in names
