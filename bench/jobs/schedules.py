"""One scheduler pass over a discovered fleet."""

from __future__ import annotations

from typing import Any

from django.db import connection

from bench.jobs.counting import measure
from scheduling.models import Assignment
from scheduling.services import default_cluster, run_scheduler
from scheduling.services.scheduler import BATCH


def place_all() -> dict[str, Any]:
    """Place everybody in one pass, then look again when there is nothing left to do."""
    cluster = default_cluster()
    connection.ensure_connection()
    with measure() as first:
        result = run_scheduler(cluster=cluster)
    with measure() as second:
        again = run_scheduler(cluster=cluster)
    profiles = list(Assignment.objects.values_list("profile", flat=True))
    return {
        "placed": result.control_plane + result.nodes,
        "control_plane": result.control_plane,
        "waiting": result.waiting,
        "placed_again": again.control_plane + again.nodes,
        "assignments": len(profiles),
        "batch": BATCH,
        "seconds": first.seconds,
        "cpu_seconds": first.cpu_seconds,
        "queries": first.queries,
        "idle_seconds": second.seconds,
        "idle_queries": second.queries,
        "idle_writes": second.writes,
    }
