"""Changes of a cluster itself: its size and rules, its values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import transaction
from django.db.models import Max

from enjoliver.common.errors import InvalidInput
from machines.services import record_event
from scheduling.models import Assignment, Cluster
from scheduling.roles import DEFAULT_CLUSTER
from scheduling.services.claims import lock_cluster
from scheduling.signals import announce_intent
from scheduling.valuerules import RANGES, Fleet, check_together
from scheduling.values import BY_NAME, check_value, default_of, merge_values

_FLEET_KEYS = frozenset({*RANGES, "pod_prefix", "perennial_local_host_ip"})
RULES = ("control_plane_size", "spread", "spread_level", "settle_seconds", "is_scheduling_enabled")


def default_cluster() -> Cluster:
    """The cluster that machines join when nobody says otherwise; made again when it is gone."""
    cluster = Cluster.objects.filter(name=DEFAULT_CLUSTER).first()
    return cluster or Cluster.objects.get_or_create(name=DEFAULT_CLUSTER)[0]


def set_values(
    *, cluster: Cluster, changes: Mapping[str, object], actor: str, replace: bool = False
) -> dict[str, tuple[Any, Any]]:
    """Change values of `cluster`; returns {key: (before, after)} of what really changed.

    With `replace` the overrides that `changes` does not name go back to their defaults. Raises
    InvalidInput naming every key that is unknown, has the wrong type or contradicts another one;
    then nothing is changed.
    """
    checked = _check_all(changes)
    with transaction.atomic():
        locked = lock_cluster(cluster.pk)
        overrides, changed = _plan_change(locked, checked, replace=replace)
        if changed:
            Cluster.objects.filter(pk=locked.pk).update(values=overrides)
            _record_values(locked, changed, actor)
            announce_intent(locked.pk)
    cluster.refresh_from_db()
    return changed


def preview_values(
    *, cluster: Cluster, changes: Mapping[str, object], replace: bool = False
) -> dict[str, tuple[Any, Any]]:
    """What `set_values` would return or raise now; changes nothing."""
    return _plan_change(cluster, _check_all(changes), replace=replace)[1]


def update_cluster(*, cluster: Cluster, actor: str, **rules: Any) -> dict[str, tuple[Any, Any]]:
    """Change one of `RULES`: the size, the spread and its level, the settling time, the switch.

    Returns {field: (before, after)}. A smaller control plane removes no member. Raises
    InvalidInput with the field and its reason; then nothing is changed.
    """
    unknown = set(rules) - set(RULES)
    if unknown:
        raise InvalidInput(f"a cluster has no rule {', '.join(sorted(unknown))}")
    with transaction.atomic():
        locked = lock_cluster(cluster.pk)
        before = {name: getattr(locked, name) for name in rules}
        for name, value in rules.items():
            setattr(locked, name, value)
        _validate(locked)
        now = {name: getattr(locked, name) for name in rules}
        changed = {name: (before[name], now[name]) for name in rules if before[name] != now[name]}
        if changed:
            locked.save(update_fields=sorted(changed))
            text = ", ".join(f"{name}: {a} → {b}" for name, (a, b) in changed.items())
            record_event(kind="cluster_changed", message=f"{locked}: {text}", actor=actor)
            announce_intent(locked.pk)
    cluster.refresh_from_db()
    return changed


def _plan_change(
    cluster: Cluster, checked: Mapping[str, Any], *, replace: bool
) -> tuple[dict[str, Any], dict[str, tuple[Any, Any]]]:
    """The new overrides and the changes; raises InvalidInput for values that contradict."""
    kept = {} if replace else {k: v for k, v in cluster.values.items() if k in BY_NAME}
    wanted = kept | dict(checked)
    # What equals the default follows the default when a later release changes it.
    overrides = {k: v for k, v in sorted(wanted.items()) if v != default_of(BY_NAME[k])}
    before, after = merge_values(cluster.values), merge_values(overrides)
    changed = {k: (before[k], after[k]) for k in BY_NAME if before[k] != after[k]}
    if changed:
        fleet = _read_fleet(cluster) if _FLEET_KEYS & set(changed) else Fleet()
        check_together(after, fleet)
    return overrides, changed


def _check_all(changes: Mapping[str, object]) -> dict[str, Any]:
    checked, reasons, problems = {}, [], {}
    for name, raw in changes.items():
        try:
            checked[name] = check_value(name, raw)
        except InvalidInput as error:
            reasons.append(error.value)
            problems.update(error.fields)
    if reasons:
        raise InvalidInput("; ".join(reasons), kind="invalid_values", fields=problems)
    return checked


def _read_fleet(cluster: Cluster) -> Fleet:
    members = Assignment.objects.filter(cluster=cluster)
    highest = members.aggregate(highest=Max("pod_index"))["highest"]
    addresses = members.filter(ipv4__isnull=False).values_list("ipv4", flat=True)
    return Fleet(
        addresses=[address for address in addresses if address],
        highest_pod_index=-1 if highest is None else highest,
    )


def _record_values(cluster: Cluster, changed: Mapping[str, tuple[Any, Any]], actor: str) -> None:
    for key, (before, after) in changed.items():
        record_event(
            kind="value_changed",
            message=f"{cluster}: {key}: {_shown(before)} → {_shown(after)}",
            actor=actor,
        )


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else f"{text[:197]}…"


def _validate(cluster: Cluster) -> None:
    try:
        cluster.full_clean(exclude=["name", "values"], validate_unique=False)
    except ValidationError as error:
        # The one constraint over the whole row is that of the control plane's size.
        fields = {
            "control_plane_size" if name == NON_FIELD_ERRORS else name: " ".join(reasons)
            for name, reasons in error.message_dict.items()
        }
        sentence = "; ".join(f"{name}: {reason}" for name, reason in fields.items())
        raise InvalidInput(sentence, kind="invalid_cluster", fields=fields) from error
