"""Limits of the install gate: for a site, a rack, an asset server, or each of them."""

from __future__ import annotations

from django.db import transaction

from enjoliver.common.errors import InvalidInput
from lifecycle.models import InstallLimit, LimitScope
from lifecycle.queueing import Door, GateLimits, Limits
from machines.services import record_event
from machines.text import has_control_characters

MAX_CONCURRENCY = 10_000


def read_limits(settings: GateLimits) -> Limits:
    """All limits that are in force; a site without one has that of the settings. One query."""
    named: dict[Door, int] = {}
    each: dict[str, int] = {LimitScope.SITE.value: settings.concurrency}
    for scope, name, concurrency in InstallLimit.objects.order_by().values_list(
        "scope", "name", "concurrency"
    ):
        if name:
            named[Door(scope, name)] = concurrency
        else:
            each[scope] = concurrency
    return Limits(named, each)


def set_limit(*, scope: str, name: str, concurrency: int, actor: str) -> InstallLimit:
    """Let at most `concurrency` machines install at once at `name` of `scope` (empty: at each).

    Raises InvalidInput with the field and its reason. Installs that go on are not stopped.
    """
    _check(scope, name, concurrency)
    with transaction.atomic():
        before = InstallLimit.objects.filter(scope=scope, name=name).first()
        row, _ = InstallLimit.objects.update_or_create(
            scope=scope, name=name, defaults={"concurrency": concurrency}
        )
        if before is None or before.concurrency != concurrency:
            message = f"Installs at once: {row}."
            record_event(kind="install_limit", message=message, actor=actor)
    return row


def remove_limit(*, scope: str, name: str, actor: str) -> bool:
    """Take a limit away; False when there was none."""
    with transaction.atomic():
        deleted, _ = InstallLimit.objects.filter(scope=scope, name=name).delete()
        if deleted:
            message = f"Installs at once: no limit of its own at {scope} {name or '(each)'}."
            record_event(kind="install_limit", message=message, actor=actor)
    return bool(deleted)


def _check(scope: str, name: str, concurrency: object) -> None:
    problems = {}
    if scope not in LimitScope.values:
        problems["scope"] = f"one of {', '.join(LimitScope.values)}"
    if not isinstance(name, str) or len(name) > 300 or has_control_characters(name):
        problems["name"] = "at most 300 characters on one line"
    is_number = isinstance(concurrency, int) and not isinstance(concurrency, bool)
    if not is_number or not 0 <= concurrency <= MAX_CONCURRENCY:  # type: ignore[operator]
        problems["concurrency"] = f"0 to {MAX_CONCURRENCY}"
    if problems:
        sentence = "; ".join(f"{field}: {reason}" for field, reason in problems.items())
        raise InvalidInput(sentence, kind="invalid_limit", fields=problems)
