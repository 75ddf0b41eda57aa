"""The fleet as a list of requests (`route`, `data`) that make it again in an empty engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from machines.models import Machine
from scheduling.models import AssignedRole, Assignment

PAGE = 500


def export_playbook() -> Iterator[dict[str, Any]]:
    """Per machine its discovery as it was sent, then its roles; a few queries per PAGE machines.

    Machines with roles come first, in the order of their pod networks, so that a replay gives
    each the same network again; then the waiting ones, oldest first.
    """
    yield from _assigned()
    yield from _waiting()


def _assigned() -> Iterator[dict[str, Any]]:
    after = (0, -1)
    while page := _page_of_assignments(*after):
        roles = _roles([assignment.pk for assignment in page])
        for assignment in page:
            yield _discovery(assignment.machine)
            yield {
                "route": "/scheduler",
                "data": {
                    "roles": roles[assignment.pk],
                    "selector": {"mac": assignment.boot_mac, "uuid": assignment.machine.uuid},
                },
            }
        after = (page[-1].cluster_id, page[-1].pod_index)


def _page_of_assignments(cluster_id: int, pod_index: int) -> list[Assignment]:
    """The page after a place; by key and not by offset, so that no cursor stays open."""
    rows = Assignment.objects.select_related("machine").order_by("cluster_id", "pod_index")
    rest = rows.filter(cluster_id=cluster_id, pod_index__gt=pod_index)[:PAGE]
    return list(rest) or list(rows.filter(cluster_id__gt=cluster_id)[:PAGE])


def _roles(assignment_ids: list[int]) -> dict[int, list[str]]:
    roles: dict[int, list[str]] = {pk: [] for pk in assignment_ids}
    rows = AssignedRole.objects.filter(assignment_id__in=assignment_ids).order_by("position")
    for assignment_id, role in rows.values_list("assignment_id", "role"):
        roles[assignment_id].append(role)
    return roles


def _waiting() -> Iterator[dict[str, Any]]:
    after = 0
    rows = Machine.objects.filter(assignment=None).order_by("pk")
    while page := list(rows.filter(pk__gt=after)[:PAGE]):
        for machine in page:
            yield _discovery(machine)
        after = page[-1].pk


def _discovery(machine: Machine) -> dict[str, Any]:
    return {"route": "/discovery", "data": machine.facts}
