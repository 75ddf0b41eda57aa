"""Revisions and pending changes as JSON documents: the same for the API and the commands."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from enjoliver.common.times import rfc3339
from matchbox_sync.models import DesiredConfig, PendingChange, PlanRun, Revision
from matchbox_sync.running import running_revisions


def revision_document(revision: Revision, *, with_values: bool = False) -> dict[str, Any]:
    """One revision; its values and profile versions only where asked for."""
    document: dict[str, Any] = {
        "number": revision.number,
        "cluster": revision.cluster.name,
        "fingerprint": revision.fingerprint,
        "cause": revision.cause,
        "author": revision.author,
        "reason": revision.reason,
        "created_at": rfc3339(revision.created_at),
        "completed_at": _time(revision.completed_at),
        "machines_changed": revision.machines_changed,
    }
    if with_values:
        document["values"] = revision.values
        document["profiles"] = {
            version.profile: version.fingerprint
            for version in revision.profiles.defer("template").order_by("profile")
        }
    return document


def change_document(change: PendingChange) -> dict[str, Any]:
    """One change that waits for a decision, or what was decided."""
    return {
        "id": change.pk,
        "cluster": change.cluster.name,
        "state": change.state,
        "is_open": change.closed_at is None,
        "summary": change.summary,
        "why": change.why,
        "affected": change.affected,
        "author": change.author,
        "created_at": rfc3339(change.created_at),
        "decided_by": change.decided_by,
        "decided_at": _time(change.decided_at),
        "reason": change.reason,
        "revision": change.revision.number if change.revision else None,
    }


def plan_document(run: PlanRun, result: dict[str, Any] | None) -> dict[str, Any]:
    """One requested plan with its progress; `plan` is null until it is done."""
    return {
        "id": run.pk,
        "cluster": run.cluster.name,
        "title": run.title,
        "author": run.author,
        "state": run.state,
        "done": run.done,
        "total": run.total,
        "message": run.message,
        "created_at": rfc3339(run.created_at),
        "finished_at": _time(run.finished_at),
        "plan": result,
    }


def machine_documents(machine_ids: Collection[int]) -> list[dict[str, Any]]:
    """Running, desired, previous and newest revision of machines with a config; three queries.

    `running` is null while a machine has not reported, or runs what no stored revision holds.
    """
    running = running_revisions(machine_ids)
    rows = (
        DesiredConfig.objects.filter(pk__in=machine_ids)
        .order_by("pk")
        .values(
            "machine_id",
            "machine__uuid",
            "machine__assignment__fqdn",
            "config__mac",
            "profile",
            "sha512",
            "assigned_at",
            "config__revision__number",
            "newest__revision__number",
            "previous__revision__number",
        )
    )
    return [
        {
            "id": row["machine_id"],
            "uuid": row["machine__uuid"],
            "mac": row["config__mac"],
            "fqdn": row["machine__assignment__fqdn"] or None,
            "profile": row["profile"],
            "running": running.get(row["machine_id"]),
            "desired": row["config__revision__number"],
            "newest": row["newest__revision__number"],
            "previous": row["previous__revision__number"],
            "desired_sha512": row["sha512"],
            "assigned_at": rfc3339(row["assigned_at"]),
        }
        for row in rows
    ]


def _time(moment: Any) -> str | None:
    return rfc3339(moment) if moment else None
