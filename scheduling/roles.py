"""The roles, which sets of them make sense, and the profile that a set leads to."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import models


class RoleName(models.TextChoices):
    """The three roles of the 2018 project, in the order of its usage document."""

    ETCD_MEMBER = "etcd-member", "etcd member"
    CONTROL_PLANE = "kubernetes-control-plane", "Kubernetes control plane"
    NODE = "kubernetes-node", "Kubernetes node"


CONTROL_PLANE_ROLES = (RoleName.ETCD_MEMBER, RoleName.CONTROL_PLANE)
"""What the scheduler gives a control-plane machine, in this order."""

PROFILE_DISCOVERY = "discovery"
PROFILE_CONTROL_PLANE = "etcd-member-kubernetes-control-plane"
PROFILE_NODE = "kubernetes-node"
PROFILES = (PROFILE_DISCOVERY, PROFILE_CONTROL_PLANE, PROFILE_NODE)


def is_possible(roles: Iterable[str]) -> bool:
    """False when a machine cannot hold all of `roles` at once: a node holds nothing else."""
    held = set(roles)
    return RoleName.NODE not in held or held == {RoleName.NODE}


def profile_of(roles: Iterable[str]) -> str:
    """The profile that exactly this set of roles gives, or "" when the set is not complete."""
    held = set(roles)
    if held == set(CONTROL_PLANE_ROLES):
        return PROFILE_CONTROL_PLANE
    if held == {RoleName.NODE}:
        return PROFILE_NODE
    return ""
