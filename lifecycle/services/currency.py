"""Does a machine run what it shall? By the digests themselves.

The verdict that is stored with a report follows a changed desired config only a moment later, and
not at all when the worker is killed in that moment; whoever lets machines go must not wait for it.
"""

from __future__ import annotations

from typing import Any

from django.db.models import BooleanField, Case, F, Q, Value, When


def runs_desired() -> Q:
    """For rows that belong to a machine (`machine`): its newest report is of its desired config."""
    report, desired = "machine__ignition_report__", "machine__desired__"
    pairs = (
        ("sha512", "sha512"),
        ("sha512", "canonical_sha512"),
        ("canonical_sha512", "canonical_sha512"),
    )
    found = Q()
    for reported, wanted in pairs:
        found |= Q(**{f"{report}{reported}": F(f"{desired}{wanted}")})
    return found


def as_flag(condition: Q) -> Any:
    """A condition as a column that is true or false, never null."""
    return Case(
        When(condition, then=Value(True)), default=Value(False), output_field=BooleanField()
    )
