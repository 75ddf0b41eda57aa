"""How the engine is: a real database write, matchbox, what unknown machines get, queue, sync."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.db.models import Min
from django.utils import timezone

from enjoliver.common.leases import beat
from enjoliver.common.models import Heartbeat
from enjoliver.engine.cached import Cached
from enjoliver.engine.database import impatient_transaction
from enjoliver.engine.probes import (
    HEAVY_PATH,
    LIGHT_PATHS,
    Discovery,
    probe_discovery,
    probe_instances,
)
from matchbox_sync.models import SyncState

logger = logging.getLogger(__name__)
PATIENCE_SECONDS = 2.0
WORKER_SILENT_SECONDS = 60
"""Beat runs the worker's heartbeat every 10 s; a worker busy with a long sync misses some."""
LIGHT_CACHE_SECONDS = 2.0
HEAVY_CACHE_SECONDS = 5.0
HEAVY_REST = 20.0
"""The heavy probes take at most a twentieth of matchbox's time, however many groups it has."""

_instances: Cached[dict[str, dict[str, bool]]] = Cached(
    lambda: probe_instances(settings.MATCHBOX_URLS), seconds=LIGHT_CACHE_SECONDS
)
_discovery: Cached[Discovery] = Cached(
    lambda: probe_discovery(_first_that_answers()), seconds=HEAVY_CACHE_SECONDS, rest=HEAVY_REST
)


def health() -> dict[str, Any]:
    """The document of `/healthz`; `global` is True when database, matchbox and discovery are.

    `flask` is the 2018 project's key for "the process answers"; its clients still read it.
    """
    is_writable = database_is_writable()
    matchbox, discovery = matchbox_health()
    answers = all(matchbox.values()) and all(discovery.values())
    return {
        "global": is_writable and answers,
        "flask": True,
        "db": is_writable,
        "matchbox": matchbox,
        "matchbox_instances": {url: all(paths.values()) for url, paths in _instances.get().items()},
        "discovery": discovery,
        "queue": queue_health() if is_writable else None,
        "sync": sync_health() if is_writable else None,
    }


def forget_probes() -> None:
    """Ask matchbox anew at the next call (for tests and after a change of settings)."""
    _instances.forget()
    _discovery.forget()


def database_is_writable() -> bool:
    """Write one row for real, waiting at most PATIENCE_SECONDS."""
    try:
        with impatient_transaction(PATIENCE_SECONDS):
            beat("healthz")
    except (DatabaseError, InterfaceError) as error:
        logger.error("the database took no write: %s", error)
        return False
    return True


def matchbox_health() -> tuple[dict[str, bool], dict[str, bool]]:
    """Per path whether any public instance answers, and what an unknown machine gets."""
    instances = _instances.get()
    paths = {path: any(answers[path] for answers in instances.values()) for path in LIGHT_PATHS}
    if paths["/"]:
        found = _discovery.get()
    else:
        _discovery.forget()  # its answer is from before; when matchbox is back, ask at once
        found = Discovery()
    return (
        {**paths, HEAVY_PATH: found.metadata},
        {"ipxe": found.ipxe, "ignition": found.ignition},
    )


def queue_health() -> dict[str, Any]:
    """Whether a worker runs what beat asks for, by its heartbeat row."""
    row = Heartbeat.objects.filter(name="worker").first()
    age = age_seconds(row.at if row else None)
    return {
        "worker": age is not None and age < WORKER_SILENT_SECONDS,
        "worker_age_seconds": age,
    }


def sync_health() -> dict[str, Any]:
    """Whether the sync of every cluster keeps its gate open, and the oldest gate's age."""
    oldest = SyncState.objects.aggregate(at=Min("notified_at"))["at"]
    age = age_seconds(oldest)
    return {
        "in_time": age is not None and age < settings.SYNC_NOTIFY_TTL_SECONDS,
        "age_seconds": age,
    }


def age_seconds(moment: datetime | None) -> float | None:
    """Seconds since `moment`, never negative (a clock may step back); None stays None."""
    if moment is None:
        return None
    return round(max(0.0, (timezone.now() - moment).total_seconds()), 3)


def _first_that_answers() -> str:
    instances = _instances.get()
    return next((url for url, paths in instances.items() if paths["/"]), settings.MATCHBOX_URLS[0])
