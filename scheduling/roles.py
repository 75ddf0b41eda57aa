"""The words of scheduling: roles, which sets of them make sense, spread, reasons to wait."""

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

DEFAULT_CLUSTER = "default"
MAX_SETTLE_SECONDS = 60
"""Longest time that a complete set of candidates waits for further machines to spread over."""

PROFILE_DISCOVERY = "discovery"
PROFILE_CONTROL_PLANE = "etcd-member-kubernetes-control-plane"
PROFILE_NODE = "kubernetes-node"
PROFILES = (PROFILE_DISCOVERY, PROFILE_CONTROL_PLANE, PROFILE_NODE)


class Spread(models.TextChoices):
    """How much the control plane must be spread over failure domains."""

    PREFERRED = "preferred", "preferred: as many domains as there are"
    REQUIRED = "required", "required: every member in a domain of its own, or wait"


class RuleRole(models.TextChoices):
    """What rules about hardware, counts and spares are for."""

    CONTROL_PLANE = "control-plane", "control plane"
    NODE = "node", "node"


class WaitCode(models.TextChoices):
    """Why a machine has no role."""

    CONTROL_PLANE = "control_plane", "the control plane is not complete"
    SPREAD = "spread", "too few failure domains"
    SETTLING = "settling", "settling: further machines may appear"
    CONFLICT = "conflict", "its identity contradicts another machine's"
    NO_ADDRESS = "no_address", "no usable address on its boot interface"
    ADDRESS_IN_RANGE = "address_in_range", "its address lies in a range of the cluster"
    FULL = "pod_network_full", "no pod network is left"
    SPARE = "spare", "kept free as a spare"
    ENOUGH = "enough", "the cluster has the nodes it asks for"
    UNSUITABLE = "unsuitable", "it lacks what the roles ask for"
    HELD = "held", "somebody works on it"
    DISABLED = "disabled", "scheduling is disabled"
    RELEASED = "released", "released by an operator"
    RETIRED = "retired", "retired by an operator"


KEPT_OUT = (WaitCode.RELEASED, WaitCode.RETIRED)
"""An operator's word that the scheduler leaves the machine alone; other codes are derived."""


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
