"""A machine and an engine for the tests of verbs."""

import pytest

from agent.config import load_config
from agent.run import make_run
from agent.tests.engines import FakeEngine, serving
from agent.tests.machines import FakeMachine


@pytest.fixture
def machine(tmp_path):
    return FakeMachine(tmp_path / "machine")


@pytest.fixture
def engine():
    with serving(FakeEngine()) as found:
        yield found


@pytest.fixture
def start(machine, engine):
    """Start a verb's run: `start("report", ENJOLIVER_…=…)`."""

    def make(verb, **settings):
        return make_run(load_config(machine.environment(engine.url, **settings)), verb)

    return make


@pytest.fixture
def quick_disk(monkeypatch):
    """For tests of hundreds of lives: writes need not reach the disk of the computer under test."""
    monkeypatch.setattr("agent.files.os.fsync", lambda handle: None)
