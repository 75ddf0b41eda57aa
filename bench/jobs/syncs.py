"""Syncs: the first one of a fleet, one with a machine added, one with nothing to do."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection

from bench.jobs.counting import Cost, measure
from bench.jobs.fleets import identities, report_of
from bench.progress import say
from machines.services import record_discovery
from matchbox_sync.models import (
    DesiredConfig,
    Document,
    MachineConfig,
    ProfileInForce,
    Revision,
    SyncState,
)
from matchbox_sync.services import SyncResult, sync_cluster
from scheduling.models import Assignment
from scheduling.services import default_cluster, run_scheduler

_PROGRESS_SECONDS = 10.0
_LEASE_SECONDS = 90.0


def first_sync(is_spoken: bool = False) -> dict[str, Any]:
    """Give the discovered fleet its roles and sync it.

    Killed and started again it goes on where it was; then `cost_is_whole` is False.
    """
    cluster = default_cluster()
    run_scheduler(cluster=cluster)
    was_fresh = not MachineConfig.objects.exists()
    with measure() as cost, _spoken(is_spoken):
        result = _sync()
    return {
        "machines": Assignment.objects.exclude(profile="").count(),
        "rendered": result.rendered,
        "problems": result.problems,
        "seconds": cost.seconds,
        "cpu_seconds": cost.cpu_seconds,
        "queries": cost.queries,
        "cost_is_whole": was_fresh,
        "document_bytes": sum(Document.objects.values_list("size", flat=True)),
        "stored_bytes": _stored_bytes(),
        "published_bytes": sum(size for _, size, *_ in _tree()),
    }


def _stored_bytes() -> int:
    return sum(len(data) for data in Document.objects.values_list("data", flat=True).iterator())


def _sync() -> SyncResult:
    """One sync; waits for the lease of a run that was killed."""
    deadline = time.monotonic() + _LEASE_SECONDS
    while (result := sync_cluster(cluster=default_cluster())) is None:
        if time.monotonic() > deadline:
            raise TimeoutError("another sync holds the lease")
        time.sleep(1)
    return result


@contextmanager
def _spoken(is_spoken: bool) -> Iterator[None]:
    """Say every few seconds how far the sync is."""
    if not is_spoken:
        yield
        return
    ended = threading.Event()

    def tell() -> None:
        while not ended.wait(_PROGRESS_SECONDS):
            state = SyncState.objects.filter(total__gt=0).first()
            if state:
                say(f"{state.done:,} of {state.total:,} machines synced")
        connection.close()

    teller = threading.Thread(target=tell)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()


def settle() -> dict[str, Any]:
    """After a state was copied: files have other inodes, so the first sync compares contents."""
    result = _sync()
    return {"rendered": result.rendered, "written": result.written}


def small_syncs(rounds: int, first_number: int) -> dict[str, Any]:
    """In turns: a sync with nothing to do, and one with a machine added."""
    idle, added = [], []
    for number in range(rounds):
        idle.append(_sync_nothing())
        added.append(_add_machine(first_number + number))
        say(f"small syncs: round {number + 1} of {rounds}")
    return {"idle": idle, "added": added}


def _sync_nothing() -> dict[str, Any]:
    """A sync that finds nothing to do: what it wrote, and whether it started a matchbox."""
    files, revisions = _tree(), Revision.objects.count()
    notified = SyncState.objects.get().notified_at
    with measure() as cost:
        result = _sync()
    return {
        **_cost(cost),
        "is_gate_renewed": SyncState.objects.get().notified_at != notified,
        "files_changed": len(_tree() ^ files),
        "written": result.written,
        "revisions_made": Revision.objects.count() - revisions,
        "children_started": cost.children_started,
    }


def _add_machine(number: int) -> dict[str, Any]:
    """Discover machine `number`, give it a role, and sync: what that cost, and whom it touched."""
    who = next(identities(1, first=number))
    machine = record_discovery(report=report_of(who)).machine
    run_scheduler(cluster=default_cluster())
    before, files = _desired(), _tree()
    with measure() as cost:
        result = _sync()
    after = _desired()
    changed = {pk for pk in before.keys() | after.keys() if before.get(pk) != after.get(pk)}
    return {
        **_cost(cost),
        "rendered": result.rendered,
        "has_config": machine.pk in after,
        "others_changed": len(changed - {machine.pk}),
        "files_changed": len({path for path, *_ in _tree() ^ files}),
    }


def _cost(cost: Cost) -> dict[str, Any]:
    return {
        "seconds": cost.seconds,
        "cpu_seconds": cost.cpu_seconds,
        "queries": cost.queries,
        "writes": cost.writes,
    }


def _desired() -> dict[int, tuple[Any, ...]]:
    columns = ("config_id", "newest_id", "sha512", "canonical_sha512", "assigned_at")
    return {row[0]: row[1:] for row in DesiredConfig.objects.values_list("machine_id", *columns)}


def _tree() -> set[tuple[str, int, int, int]]:
    """Every file below matchbox's directory with size, time and inode."""
    found = set()
    for folder, _folders, names in os.walk(settings.MATCHBOX_PATH):
        for name in names:
            stat = (Path(folder) / name).stat()
            path = f"{folder}/{name}"
            found.add((path, stat.st_size, stat.st_mtime_ns, stat.st_ino))
    return found


def export_storm() -> dict[str, Any]:
    """What a boot storm needs to know: who asks, and what the right answers are."""
    scripts = dict(ProfileInForce.objects.values_list("profile", "version__ipxe_script"))
    rows = DesiredConfig.objects.order_by("pk").values_list(
        "machine__boot_mac", "machine__uuid", "sha512", "profile"
    )
    return {"machines": [list(row) for row in rows], "scripts": scripts}
