"""Engines for the end-to-end tests, and which of them run on PostgreSQL and Redis too."""

import os

import pytest

from tests.e2e.engine import running_engine
from tests.e2e.places import environment_of, private_database


@pytest.fixture(scope="session")
def engine(tmp_path_factory):
    """One engine for most tests; its control plane has one machine, all others become nodes."""
    state_dir = tmp_path_factory.mktemp("engine")
    with private_database() as database:
        environment = environment_of(state_dir, database, ENJOLIVER_INSTALL_DEADLINE_SECONDS="12")
        with running_engine(environment) as engine:
            engine.set_control_plane(1)
            yield engine


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """How machines misbehave is the same on every database: with PostgreSQL the rest runs."""
    if not os.environ.get("DATABASE_URL"):
        return
    left_out = [item for item in items if item.path.name == "test_faults_of_machines.py"]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)
