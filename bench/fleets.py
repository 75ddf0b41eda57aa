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
        say(f"making a fleet of {machines:,} machines")
        return place, run_job(place, "fleets.build_reporting", machines=machines)
    kept = workshop.kept_dir(name, sources_key(SCHEMA_SOURCES))
    if read_ready(kept) is None:
        say(f"making a fleet of {machines:,} machines (kept in {kept})")
        fresh = workshop.new(name)
        fleet = run_job(fresh, "fleets.build_reporting", machines=machines)
        (fresh.state_dir / _FLEET_FILE).write_text(json.dumps(fleet))
        mark_ready(fresh.state_dir, {"machines": machines})
        workshop.keep(fresh, kept)
    place = workshop.copy(kept, name)
    fleet = json.loads((place.state_dir / _FLEET_FILE).read_text())
    return place, fleet


def discovered_fleet(workshop: Workshop, machines: int, database_url: str = "") -> Place:
    """A fleet without roles in an engine that never synced."""
    name = f"discovered-{machines}"
    if database_url:
        place = workshop.new(name, database_url=database_url)
        run_job(place, "fleets.build_discovered", machines=machines)
        return place
    kept = workshop.kept_dir(name, sources_key(SCHEMA_SOURCES))
    if read_ready(kept) is None:
        fresh = workshop.new(name)
        write_payload(fresh.templates)
        mark_ready(fresh.state_dir, run_job(fresh, "fleets.build_discovered", machines=machines))
        workshop.keep(fresh, kept)
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
        place = Place(kept)
        if not (kept / "enjoliver.sqlite3").exists():
            discovered = discovered_fleet(workshop, machines)
            workshop.keep(discovered, kept)
        say(f"first sync of {machines:,} machines (kept in {kept})")
        cost = run_job(place, "syncs.first_sync", is_spoken=True)
        mark_ready(kept, cost)
    copy = workshop.copy(kept, name)
    run_job(copy, "syncs.settle")
    return copy, cost
