"""The install gate under many machines at once."""

import pytest

from lifecycle.models import InstallAttempt, InstallOutcome, InstallWaiter
from lifecycle.services import Granted, ask_to_install
from lifecycle.tests.factories import NOON, query_of
from lifecycle.tests.races import all_at_once
from machines.tests.factories import MachineFactory

pytestmark = pytest.mark.django_db(transaction=True)


def ask(machine):
    return ask_to_install(machine=machine, raw_query=query_of(machine), source=None, now=NOON)


@pytest.mark.parametrize("concurrency", [1, 3])
def test_fifty_machines_at_once_get_exactly_the_places_there_are(settings, concurrency):
    settings.INSTALL_CONCURRENCY = concurrency
    answers = all_at_once(ask, MachineFactory.create_batch(50))
    assert sum(isinstance(answer, Granted) for answer in answers) == concurrency
    assert InstallAttempt.objects.filter(outcome=InstallOutcome.OPEN).count() == concurrency
    assert InstallWaiter.objects.count() == 50 - concurrency


def test_one_machine_asking_many_times_at_once_gets_one_attempt(settings):
    settings.INSTALL_CONCURRENCY = 3
    answers = all_at_once(ask, [MachineFactory.create()] * 12)
    assert len(set(answers)) == 1
    assert InstallAttempt.objects.count() == 1
    assert not InstallWaiter.objects.exists()
