"""Keeping policies: checked, explained, and in force at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from enjoliver.common.errors import Conflict, InvalidInput
from lifecycle.models import RollingPolicy, Rollout
from lifecycle.rules.selector import Selector
from lifecycle.rules.states import ACTIVE_STATES
from lifecycle.rules.validate import Fleet, advise, check_policy, check_selector
from lifecycle.services.healthgates import (
    advise_gates,
    apply_gates,
    check_gates,
    complete_gates,
    gate_documents,
)
from lifecycle.services.membership import placed_machines, refresh_members
from machines.services import record_event
from scheduling.models import Cluster
from scheduling.roles import DEFAULT_CLUSTER, PROFILES, RoleName

Document = dict[str, Any]
FIELDS: dict[str, type] = {
    "name": str,
    "cluster": str,
    "is_enabled": bool,
    "priority": int,
    "selector": dict,
    "strategy": str,
    "max_unavailable": str,
    "max_unavailable_per_domain": str,
    "max_domains": int,
    "domain_level": str,
    "canary_count": int,
    "canary_soak_seconds": int,
    "stages": list,
    "order": str,
    "windows": list,
    "failure_threshold": str,
    "return_seconds": int,
    "settle_seconds": int,
    "silent_seconds": int,
    "gate_seconds": int,
    "requires_approval": bool,
    "starts": str,
    "accepts_downtime": bool,
    "health_gates": list,
}
"""The keys of a policy's document, in its order, with the type of each."""
_ELSEWHERE = ("cluster", "health_gates")
"""Of these, what is no plain field of the policy's row."""
_AMOUNTS = ("max_unavailable", "max_unavailable_per_domain", "failure_threshold")
_KNOWN_ROLES = frozenset({*PROFILES, *(str(role) for role in RoleName)}) - {"discovery"}
_PRIORITIES = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Applied:
    """What keeping a policy did: `changed` is {field: (before, after)}, `advice` in sentences."""

    policy: RollingPolicy
    is_new: bool
    changed: Mapping[str, tuple[Any, Any]]
    advice: list[str]


def policy_document(policy: RollingPolicy) -> Document:
    """A policy as `apply_policy` takes it."""
    document = {name: getattr(policy, name) for name in FIELDS if name not in _ELSEWHERE}
    document |= {"cluster": policy.cluster.name, "health_gates": gate_documents(policy)}
    # A default is a member of its choices: a text, but of another type.
    return {
        name: str(document[name]) if kind is str else document[name]
        for name, kind in FIELDS.items()
    }


def default_document() -> Document:
    """A policy with every default; `name` is empty."""
    blank = RollingPolicy(cluster=Cluster(name=DEFAULT_CLUSTER))
    return policy_document(blank)


def apply_policy(
    *,
    document: Mapping[str, Any],
    actor: str,
    partial: bool = False,
    dry_run: bool = False,
    now: datetime | None = None,
) -> Applied:
    """Make the policy `document["name"]` what the document says; other fields get their defaults,
    or with `partial` stay as they are.

    Raises InvalidInput that names every field that is wrong, with the reason; then nothing is
    changed. Conflict when it would disable a policy with an active rollout.

    Machines that no policy selects any more get their newest config at once, as
    without policies; nobody acts on it before a strategy is granted.
    """
    now = now or timezone.now()
    before = _find(document.get("name"))
    base = policy_document(before) if partial and before else default_document()
    wanted = _read_types(base | dict(document), document)
    wanted["health_gates"] = complete_gates(wanted["health_gates"])
    cluster = _find_cluster(wanted["cluster"])
    fleet = fleet_of(cluster, wanted["selector"])
    problems = check_policy(wanted, fleet) | check_gates(wanted["health_gates"])
    if before and before.cluster_id != cluster.pk:
        problems["cluster"] = "a policy stays in its cluster: delete it and make another one"
    if problems:
        raise _invalid(problems)
    wanted["health_gates"].sort(key=itemgetter("name"))
    changed = _changes(before, wanted)
    advice = [*advise(wanted, fleet), *advise_gates(wanted["health_gates"])]
    policy = before or RollingPolicy(name=wanted["name"], cluster=cluster, created_at=now)
    for name in FIELDS:
        if name not in _ELSEWHERE:
            setattr(policy, name, wanted[name])
    if changed and not dry_run:
        _store(policy, wanted, changed, actor, now)
    return Applied(policy, before is None, changed, advice)


def _find(name: object) -> RollingPolicy | None:
    if not isinstance(name, str) or "\0" in name:
        return None
    return RollingPolicy.objects.filter(name=name).first()


def delete_policy(*, policy: RollingPolicy, actor: str) -> None:
    """Remove a policy. Raises Conflict while it has an active rollout.

    Its machines get their newest config at once, unless another policy selects them. It is disabled
    before: killed in between, its members are still known, and the next steps let them go.
    """
    rows = RollingPolicy.objects.filter(pk=policy.pk)
    with transaction.atomic():
        _refuse_while_active(policy)
        rows.update(is_enabled=False)
    refresh_members(cluster_id=policy.cluster_id, actor=actor)
    with transaction.atomic():
        _refuse_while_active(policy)  # a worker that had read it before may have made one
        if rows.delete()[0]:
            message = f"Policy {policy.name} is deleted."
            record_event(kind="policy_deleted", message=message, actor=actor)


def _refuse_while_active(policy: RollingPolicy) -> None:
    if Rollout.objects.filter(policy=policy, state__in=ACTIVE_STATES).exists():
        raise Conflict(f"{policy} has an active rollout: abort it first", kind="active_rollout")


def fleet_of(cluster: Cluster, selector: object) -> Fleet:
    """What a selector selects in a cluster now; nothing while it cannot be read."""
    if check_selector(selector, _KNOWN_ROLES):
        return Fleet(size=cluster.control_plane_size, roles=_KNOWN_ROLES)
    assert isinstance(selector, Mapping)  # noqa: S101 - `check_selector` saw to it
    chosen = Selector.read(selector)
    placed = placed_machines(cluster_id=cluster.pk)
    selected = [one for one in placed if chosen.selects(one.subject)]
    plane = sum(one.is_control_plane for one in selected)
    return Fleet(
        size=max(cluster.control_plane_size, sum(one.is_control_plane for one in placed)),
        control_plane=plane,
        others=len(selected) - plane,
        roles=_KNOWN_ROLES,
    )


def _read_types(wanted: Document, given: Mapping[str, Any]) -> Document:
    """Counts may be written without quotes; everything else has its type. Raises InvalidInput."""
    problems = {
        str(key)[:64]: f"unknown; known: {', '.join(FIELDS)}" for key in given if key not in FIELDS
    }
    for name in _AMOUNTS:
        if type(wanted[name]) is int:
            wanted[name] = str(wanted[name])
    wanted["windows"] = _read_clocks(wanted["windows"])
    for name, kind in FIELDS.items():
        if type(wanted[name]) is not kind:
            problems[name] = f"{_TYPE_NAMES[kind]} is expected"
        elif _has_nul(wanted[name]):
            problems[name] = "a text with the character NUL cannot be kept"
    if not problems and not -_PRIORITIES <= wanted["priority"] <= _PRIORITIES:
        problems["priority"] = f"-{_PRIORITIES} to {_PRIORITIES}"
    if not problems and not wanted["name"]:
        problems["name"] = "required"
    if problems:
        raise _invalid(problems)
    return wanted


def _read_clocks(windows: Any) -> Any:
    """YAML 1.1 takes 22:30 without quotes for a number to the base of 60."""
    if not isinstance(windows, list):
        return windows
    return [
        {**window, "start": f"{window['start'] // 60:02}:{window['start'] % 60:02}"}
        if isinstance(window, dict) and type(window.get("start")) is int
        else window
        for window in windows
    ]


def _has_nul(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_nul(part) for pair in value.items() for part in pair)
    if isinstance(value, list):
        return any(map(_has_nul, value))
    return isinstance(value, str) and "\0" in value


_TYPE_NAMES = {
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    dict: "an object",
    list: "a list",
}


def _invalid(problems: Mapping[str, str]) -> InvalidInput:
    sentence = "; ".join(f"{field}: {reason}" for field, reason in problems.items())
    return InvalidInput(sentence[:2000], kind="invalid_policy", fields=problems)


def _find_cluster(name: str) -> Cluster:
    cluster = Cluster.objects.filter(name=name).first()
    if cluster is None:
        raise _invalid({"cluster": f"there is no cluster {name[:64]}"})
    return cluster


def _changes(before: RollingPolicy | None, wanted: Document) -> dict[str, tuple[Any, Any]]:
    old = policy_document(before) if before else dict.fromkeys(FIELDS)
    return {name: (old[name], wanted[name]) for name in FIELDS if old[name] != wanted[name]}


def _store(
    policy: RollingPolicy,
    wanted: Document,
    changed: Mapping[str, tuple[Any, Any]],
    actor: str,
    now: datetime,
) -> None:
    policy.updated_at, policy.updated_by = now, actor[:150]
    is_new = policy.pk is None
    try:
        with transaction.atomic():
            if not is_new and not policy.is_enabled:
                _refuse_while_active(policy)
            policy.save()
            apply_gates(policy=policy, documents=wanted["health_gates"])
            _record(policy, changed, actor, is_new=is_new)
    except IntegrityError as error:
        raise Conflict(f"another policy is called {policy.name}") from error
    # Over a whole fleet: other writers do not wait for it, and the next steps repair what is lost.
    refresh_members(cluster_id=policy.cluster_id, actor=actor)


def _record(
    policy: RollingPolicy, changed: Mapping[str, tuple[Any, Any]], actor: str, *, is_new: bool
) -> None:
    if is_new:
        message = f"Policy {policy} of cluster {policy.cluster} is made."
    else:
        text = ", ".join(
            f"{name}: {_shown(name, old)} → {_shown(name, new)}"
            for name, (old, new) in changed.items()
        )
        message = f"Policy {policy}: {text}"
    record_event(kind="policy_changed", message=message, actor=actor)


def _shown(name: str, value: Any) -> Any:
    return [gate["name"] for gate in value] if name == "health_gates" else value
