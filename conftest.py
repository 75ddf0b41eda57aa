"""For all tests: what each begins with is the same, in whatever order they run.

Tests of races commit, so the database is flushed behind them. Django announces that as it does a
migration; without this, a test that runs later would miss the default cluster. And what apps have
told each other at the start of the process is there again after a test that said something else.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db.models.signals import post_migrate
from hypothesis import HealthCheck, settings

# A commit passes or fails for what is in it: no examples by chance, and no limit in wall time,
# which says only how busy the machine is. `make search` looks at examples nobody has seen yet.
settings.register_profile(
    "everyday",
    derandomize=True,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "search", settings.get_profile("everyday"), derandomize=False, max_examples=1000
)
settings.load_profile("everyday")


def pytest_configure() -> None:
    """Listen from the start; the apps are loaded by now."""
    post_migrate.connect(_put_back_first_rows, dispatch_uid="tests.first_rows", weak=False)


def _put_back_first_rows(sender: Any, **kwargs: Any) -> None:
    from lifecycle.models import InstallGate, LockGroup
    from scheduling.services import default_cluster

    if sender.label != "lifecycle":  # the last of our apps: all tables are there
        return
    default_cluster()
    InstallGate.objects.get_or_create(site="default")
    LockGroup.objects.get_or_create(name="default", defaults={"slots": 1})


@pytest.fixture(autouse=True)
def _what_apps_told_each_other() -> Iterator[None]:
    """Hooks of the process: a test may set them, and leaves no trace."""
    from lifecycle.services import strategies
    from machines.services import history, operations
    from matchbox_sync import advice, running
    from matchbox_sync.services import pending, revisions
    from scheduling.services import rules

    single = (
        (revisions, "_release_policy"),
        (pending, "_approval_rule"),
        (running, "_source"),
        (advice, "_advisor"),
    )
    several = (
        (strategies, "_refusals"),
        (history, "_mutes"),
        (operations, "_objections"),
        (rules, "_kept_back"),
    )
    before = [(module, name, getattr(module, name)) for module, name in single]
    lists = [(getattr(module, name), list(getattr(module, name))) for module, name in several]
    yield
    for module, name, value in before:
        setattr(module, name, value)
    for present, former in lists:
        present[:] = former
