"""In which order a rollout goes through its machines. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

AUTO, WORKERS_FIRST, CONTROL_PLANE_FIRST, ANY = (
    "auto",
    "workers-first",
    "control-plane-first",
    "any",
)
ORDERS = (AUTO, WORKERS_FIRST, CONTROL_PLANE_FIRST, ANY)
VERSION_KEYS = ("kubernetes_version", "etcd_version")
"""Cluster values whose change makes the control plane go first: kubelets must not be newer than
the API server (https://kubernetes.io/releases/version-skew-policy/)."""


@dataclass(frozen=True, slots=True)
class Place:
    """A machine before it gets its place; `rank` breaks ties, so that the order is stable."""

    machine_id: int
    is_control_plane: bool
    rank: tuple[Any, ...]


def resolve_order(order: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """`auto` by the kind of change between two revisions' values; any other order as it is."""
    if order != AUTO:
        return order
    changed = any(before.get(key) != after.get(key) for key in VERSION_KEYS)
    return CONTROL_PLANE_FIRST if changed else WORKERS_FIRST


def wave_of(order: str, *, is_control_plane: bool) -> int:
    """0 for machines that go first, 1 for those that wait for them."""
    if order == CONTROL_PLANE_FIRST:
        return 0 if is_control_plane else 1
    if order == WORKERS_FIRST:
        return 1 if is_control_plane else 0
    return 0


def arrange(places: Sequence[Place], order: str) -> list[Place]:
    """`places` in the order of a rollout: wave by wave, stable within."""
    return sorted(
        places,
        key=lambda place: (
            wave_of(order, is_control_plane=place.is_control_plane),
            place.rank,
            place.machine_id,
        ),
    )
