"""Engines for the end-to-end tests."""

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
