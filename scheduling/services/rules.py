"""What roles ask for, and who may say that a machine is kept back: read at each pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import transaction

from enjoliver.common.errors import InvalidInput
from machines.services import record_event
from machines.services.operations import check_labels
from scheduling.models import Cluster, RoleRule
from scheduling.requirements import ANYTHING, Requirements
from scheduling.roles import RuleRole
from scheduling.services.claims import lock_cluster
from scheduling.signals import announce_intent

KeptBack = Callable[[], Mapping[int, str]]
_kept_back: list[KeptBack] = []
_NUMBERS = ("min_disk_bytes", "min_memory_bytes", "min_cpu_count", "count", "spares")


def add_kept_back(reader: KeptBack) -> None:
    """Let an app above keep machines from getting a role: `reader()` gives reasons by machine id.

    It is asked at each pass that has a machine to place, so it should cost one query. Adding one
    twice is adding it once.
    """
    if reader not in _kept_back:
        _kept_back.append(reader)


def remove_kept_back(reader: KeptBack) -> None:
    """Take it out again."""
    _kept_back.remove(reader)


def read_kept_back() -> dict[int, str]:
    """Who gets no role now, and why."""
    return {pk: reason for reader in _kept_back for pk, reason in reader().items()}


def read_requirements(cluster: Cluster) -> dict[str, Requirements]:
    """What each role asks for, by `RuleRole`; one query."""
    stored = {rule.role: rule.requirements for rule in RoleRule.objects.filter(cluster=cluster)}
    return {role: stored.get(role, ANYTHING) for role in RuleRole.values}


def set_requirements(
    *, cluster: Cluster, role: str, actor: str, **changes: Any
) -> dict[str, tuple[Any, Any]]:
    """Change what `role` (a `RuleRole`) asks for, by the names of `Requirements`.

    Returns {name: (before, after)}. Machines that have the role keep it. Raises InvalidInput with
    each name and its reason; then nothing is changed.
    """
    if role not in RuleRole.values:
        known = ", ".join(RuleRole.values)
        raise InvalidInput(f"no rules for the role {role[:64]!r}: {known}", fields={"role": known})
    unknown = sorted(set(changes) - set(Requirements.__dataclass_fields__))
    if unknown:
        raise InvalidInput(
            f"a role asks for no {unknown[0][:64]}", fields={unknown[0][:64]: "unknown"}
        )
    with transaction.atomic():
        locked = lock_cluster(cluster.pk)
        rule = RoleRule.objects.filter(cluster=locked, role=role).first()
        rule = rule or RoleRule(cluster=locked, role=role)
        before = {name: getattr(rule, name) for name in changes}
        for name, value in changes.items():
            setattr(rule, name, value)
        _validate(rule)
        changed = {
            name: (before[name], getattr(rule, name))
            for name in changes
            if before[name] != getattr(rule, name)
        }
        if changed:
            rule.save()
            text = ", ".join(f"{name}: {a} → {b}" for name, (a, b) in changed.items())
            record_event(kind="role_rule_changed", message=f"{rule}: {text}", actor=actor)
            announce_intent(locked.pk)
    return changed


def _validate(rule: RoleRule) -> None:
    problems = {
        name.replace("labels", "selector", 1): reason
        for name, reason in check_labels(rule.selector).items()
    }
    problems |= {
        name: "a number is expected" for name in _NUMBERS if not _is_number(getattr(rule, name))
    }
    if rule.count is None:
        problems.pop("count", None)
    if problems:
        raise _refused(problems)
    try:
        rule.full_clean(exclude=["selector"], validate_unique=False)
    except ValidationError as error:
        problems |= {
            "count" if name == NON_FIELD_ERRORS else name: " ".join(reasons)
            for name, reasons in error.message_dict.items()
        }
    if problems:
        raise _refused(problems)


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _refused(problems: Mapping[str, str]) -> InvalidInput:
    sentence = "; ".join(f"{name}: {reason}" for name, reason in problems.items())
    return InvalidInput(sentence, kind="invalid_rule", fields=problems)
