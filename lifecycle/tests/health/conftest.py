"""What the tests of checks share: a directory of files, a CA, one way to check."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lifecycle.health import Ask, check_config, check_health
from lifecycle.services import healthchecks
from lifecycle.tests.health.certificates import Authority

PATIENCE = 60.0
"""Seconds for a server that answers at once, on a computer that may be too busy to run it."""


@pytest.fixture(autouse=True)
def _patient_gates(monkeypatch):
    """What gates say here does not depend on how soon they hear it."""

    def check_patiently(kind, config, ask):
        return check_health(kind, config, replace(ask, seconds=PATIENCE))

    monkeypatch.setattr(healthchecks, "check_health", check_patiently)


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """A CA with the certificates `server` and `client`."""
    found = Authority(tmp_path_factory.mktemp("authority"))
    found.issue("server")
    found.issue("client")
    return found


@pytest.fixture
def files(tmp_path):
    """The directory that gates read files of."""
    folder = tmp_path / "files"
    folder.mkdir()
    return folder


@pytest.fixture
def check(files):
    """Check once: `check(kind, config)`; the configuration must be one that can be kept."""

    def run(kind, config, seconds=PATIENCE, commands=None, nodes=()):
        assert check_config(kind, config) == {}
        ask = Ask("workers", "the-gate", seconds, files, commands, tuple(nodes))
        return check_health(kind, config, ask)

    return run
