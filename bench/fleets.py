"""Fleets for the stages: made once, kept below `.cache/bench`, copied for each use."""

from __future__ import annotations

import json
from typing import Any

from bench.payload import write_payload
from bench.places import (
    SCHEMA_SOURCES,
    SYNC_SOURCES,
    Place,
    Workshop,
    mark_ready,
    read_ready,
    sources_key,
)
from bench.processes import run_job
from bench.progress import say

_FLEET_FILE = "fleet.json"


def reporting_fleet(
    workshop: Workshop, machines: int, database_url: str
) -> tuple[Place, dict[str, Any]]:
    """A fleet whose machines report: SQLite from the kept states, PostgreSQL made new."""
    name = f"reporting-{machines}"
    if database_url:
        place = workshop.new(name, database_url=database_url)
        return place, _build(place, "fleets.build_reporting", machines)
    kept = workshop.kept_dir(name, sources_key(SCHEMA_SOURCES))
    if read_ready(kept) is None:
        place = _empty(workshop, name)
        fleet = _build(place, "fleets.build_reporting", machines)
        (place.state_dir / _FLEET_FILE).write_text(json.dumps(fleet))
        mark_ready(place.state_dir, {"machines": machines})
        workshop.keep(place, kept)
    place = workshop.copy(kept, name)
    return place, json.loads((place.state_dir / _FLEET_FILE).read_text())


def discovered_fleet(workshop: Workshop, machines: int, database_url: str = "") -> Place:
    """A fleet without roles in an engine that never synced."""
    name = f"discovered-{machines}"
    if database_url:
        place = workshop.new(name, database_url=database_url)
        _build(place, "fleets.build_discovered", machines)
        return place
    kept = workshop.kept_dir(name, sources_key(SCHEMA_SOURCES))
    if read_ready(kept) is None:
        place = _empty(workshop, name)
        write_payload(place.templates)
        mark_ready(place.state_dir, _build(place, "fleets.build_discovered", machines))
        workshop.keep(place, kept)
    return workshop.copy(kept, name)


def synced_fleet(workshop: Workshop, machines: int) -> tuple[Place, dict[str, Any]]:
    """A fleet with roles and verified configs, and what its first sync cost.

    The first sync is minutes of matchbox work for 10,000 machines: done once per content of
    templates and sync, gone on with where a killed run left it.
    """
    name = f"synced-{machines}"
    kept = workshop.kept_dir(name, sources_key(SYNC_SOURCES))
    cost = read_ready(kept)
    if cost is None:
        if not (kept / "enjoliver.sqlite3").exists():
            workshop.keep(discovered_fleet(workshop, machines), kept)
        say(f"first sync of {machines:,} machines (kept in {kept})")
        cost = run_job(Place(kept), "syncs.first_sync", is_spoken=True)
        mark_ready(kept, cost)
    copy = workshop.copy(kept, name)
    run_job(copy, "syncs.settle")
    return copy, cost


def _build(place: Place, job: str, machines: int) -> Any:
    say(f"making a fleet of {machines:,} machines")
    return run_job(place, job, machines=machines, is_database_new=bool(place.database_url))


def _empty(workshop: Workshop, name: str) -> Place:
    """A new SQLite state with tables and no rows: migrating takes longer than copying."""
    kept = workshop.kept_dir("empty", sources_key(SCHEMA_SOURCES))
    if read_ready(kept) is None:
        place = workshop.new("empty")
        mark_ready(place.state_dir, run_job(place, "fleets.build_empty"))
        workshop.keep(place, kept)
    return workshop.copy(kept, name)
