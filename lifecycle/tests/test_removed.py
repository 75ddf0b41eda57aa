"""A machine that is removed while it talks to us is unknown, not an error of ours."""

import pytest

from enjoliver.common.errors import UnknownMachine
from enjoliver.common.rawquery import parse_raw_query
from lifecycle.models import (
    AgentProgress,
    IgnitionReport,
    InstallAttempt,
    InstallReport,
    MachineStrategy,
    StrategyName,
)
from lifecycle.progress import Said
from lifecycle.services import (
    ask_to_install,
    record_progress,
    report_install,
    set_strategy,
    submit_report,
)
from lifecycle.services import reports as report_service
from lifecycle.tests.factories import NOON, query_of
from machines.models import Event, Machine
from machines.tests.factories import MachineFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def removed():
    """A machine as a request holds it, whose row is gone."""
    machine = MachineFactory.create()
    Machine.objects.get(pk=machine.pk).delete()
    return machine


def test_asking_at_the_gate(removed):
    with pytest.raises(UnknownMachine):
        ask_to_install(machine=removed, raw_query=query_of(removed), source=None)
    assert not InstallAttempt.objects.exists()


def test_an_install_report(removed):
    with pytest.raises(UnknownMachine):
        report_install(machine=removed, success=True, attempt_id=None, source=None)
    assert not InstallReport.objects.exists()


def test_a_word_of_its_agent(removed):
    with pytest.raises(UnknownMachine):
        record_progress(machine=removed, said=Said("report", "up to date"))
    assert not AgentProgress.objects.exists()
    assert not Event.objects.exists()


def test_a_strategy(removed):
    with pytest.raises(UnknownMachine):
        set_strategy(machine=removed, strategy=StrategyName.KEXEC, actor="ada")
    assert not MachineStrategy.objects.exists()


@pytest.mark.parametrize("has_reported", [False, True])
def test_a_config_report(monkeypatch, has_reported):
    machine = MachineFactory.create(installed_at=NOON)
    query = parse_raw_query(query_of(machine))
    if has_reported:
        submit_report(query=query, body=b"{}")
    find = report_service.find_reporter

    def find_and_lose(query):
        reporter = find(query)
        Machine.objects.all().delete()
        return reporter

    monkeypatch.setattr(report_service, "find_reporter", find_and_lose)
    with pytest.raises(UnknownMachine):
        submit_report(query=query, body=b"{}")
    assert not IgnitionReport.objects.exists()


def test_other_failures_are_not_hidden(monkeypatch):
    def broken(*args, **kwargs):
        raise Machine.DoesNotExist

    monkeypatch.setattr("lifecycle.services.asking._ask", broken)
    machine = MachineFactory.create()
    with pytest.raises(Machine.DoesNotExist):
        ask_to_install(machine=machine, raw_query=query_of(machine), source=None)
