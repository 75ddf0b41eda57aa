"""For all tests: what migrations put into the database is there again after each flush.

Tests of races commit, so the database is flushed behind them. Django announces that as it does a
migration; without this, a test that runs later would miss the default cluster.
"""

from __future__ import annotations

from typing import Any

from django.db.models.signals import post_migrate


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
