"""Replays what `/backup/export` gave, straight into the database or over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from enjoliver.common.errors import InvalidInput
from enjoliver.common.rawquery import query_from_params
from machines.discovery import parse_report
from machines.lookup import find_machine
from machines.services import record_discovery
from scheduling.services import assign_roles, default_cluster, update_cluster

Step = Callable[[Any], None]
ACTOR = "import"


@dataclass(slots=True)
class Replayed:
    """How many machines and role sets were replayed."""

    discoveries: int = 0
    schedules: int = 0


def replay(playbook: Any, *, discover: Step, schedule: Step) -> Replayed:
    """Run every entry of `playbook` in order; raises InvalidInput that names a bad entry."""
    if not isinstance(playbook, list):
        raise InvalidInput("a backup is a list of {route, data}")
    done = Replayed()
    for number, entry in enumerate(playbook):
        route = entry.get("route") if isinstance(entry, dict) else None
        if route == "/discovery":
            discover(entry.get("data"))
            done.discoveries += 1
        elif route == "/scheduler":
            schedule(entry.get("data"))
            done.schedules += 1
        else:
            raise InvalidInput(f"entry {number}: the route is {route!r}")
    return done


def discover_here(data: Any) -> None:
    """Record one discovery in this engine's database; raises InvalidInput."""
    record_discovery(report=parse_report(data))


def schedule_here(data: Any) -> None:
    """Give one machine its roles in this engine's database; raises an EngineError."""
    try:
        selector, roles = dict(data["selector"]), list(data["roles"])
    except (TypeError, KeyError, ValueError) as error:
        raise InvalidInput("a schedule needs `roles` and `selector`") from error
    query = query_from_params("", {key: str(value) for key, value in selector.items()})
    assign_roles(machine=find_machine(query), roles=roles, actor=ACTOR)


@contextmanager
def scheduling_paused() -> Iterator[None]:
    """No machine of the default cluster gets a role by itself until the replay has given all.

    A replay that is killed leaves it off: the console shows that, and an operator turns it on.
    """
    cluster = default_cluster()
    was_enabled = cluster.is_scheduling_enabled
    update_cluster(cluster=cluster, is_scheduling_enabled=False, actor=ACTOR)
    try:
        yield
    finally:
        update_cluster(cluster=cluster, is_scheduling_enabled=was_enabled, actor=ACTOR)


def steps_over_http(client: httpx.Client) -> tuple[Step, Step]:
    """The two steps as requests of `client`; a refused one raises httpx.HTTPStatusError."""

    def post(route: str) -> Step:
        def step(data: Any) -> None:
            client.post(route, json=data).raise_for_status()

        return step

    return post("/discovery"), post("/scheduler")
