"""The content in force, and the revisions that put content into force."""

from __future__ import annotations

import logging
from collections.abc import Collection
from functools import partial

from django.db import transaction
from django.utils import timezone

from machines.models import Event
from matchbox_sync.content import (
    Content,
    affected_profiles,
    changed_values,
    changed_versions,
    engine_from_json,
    engine_to_json,
)
from matchbox_sync.models import ProfileInForce, ProfileVersion, Revision
from matchbox_sync.signals import revision_completed
from scheduling.models import Cluster
from scheduling.values import merge_values

logger = logging.getLogger(__name__)
AUTHOR = "sync"


def newest_revision(cluster: Cluster) -> Revision | None:
    """The revision that put the present content into force; None before the first one."""
    return Revision.objects.filter(cluster=cluster).order_by("-number").first()


def content_of(revision: Revision) -> Content | None:
    """What a revision was made of; None when an older release made it and kept no values."""
    if not revision.values:
        return None
    return Content(
        versions={row.profile: row for row in revision.profiles.all()},
        values=merge_values(revision.values),
        engine=engine_from_json(revision.engine),
    )


def versions_in_force(cluster: Cluster) -> dict[str, ProfileVersion]:
    """The newest version of each profile that machines may get, by plain name."""
    rows = ProfileInForce.objects.filter(cluster=cluster).select_related("version")
    return {row.profile: row.version for row in rows.order_by("profile")}


def unfinished_revision(cluster: Cluster, content: Content) -> Revision | None:
    """The newest revision, when its machines are not all rendered and its content is this one.

    A killed run leaves one, and so does a rollback: the next run goes on with it.
    """
    newest = newest_revision(cluster)
    if newest is None or newest.completed_at is not None:
        return None
    opened = content_of(newest)
    return newest if opened and not affected_profiles(opened, content) else None


def open_revision(
    *,
    cluster: Cluster,
    content: Content,
    cause: str,
    author: str = AUTHOR,
    reason: str = "",
    back_to: int | None = None,
    after: Revision | None,
) -> Revision:
    """Put `content` into force as a new revision, in one transaction. `back_to`: of a rollback,
    the number of the revision that had it.

    `after` was the newest revision when the content was chosen. Raises IntegrityError when there is
    a newer one by now: what was chosen is not what would be chosen again.
    """
    with transaction.atomic():
        for name, version in content.versions.items():
            ProfileInForce.objects.update_or_create(
                cluster=cluster, profile=name, defaults={"version": version}
            )
        revision = Revision.objects.create(
            cluster=cluster,
            number=after.number + 1 if after else 1,
            fingerprint=content.fingerprint,
            cause=cause[:300],
            author=author[:150],
            reason=reason[:300],
            values=dict(content.values),
            engine=engine_to_json(content.engine),
            back_to=back_to,
            created_at=timezone.now(),
        )
        revision.profiles.set(content.versions.values())
    logger.info("revision %s of %s: %s", revision.number, cluster, revision.cause)
    return revision


def close_revision(revision: Revision) -> None:
    """All its machines have been rendered; says so after the commit."""
    with transaction.atomic():
        Revision.objects.filter(pk=revision.pk).update(
            completed_at=timezone.now(), machines_changed=revision.configs.count()
        )
        transaction.on_commit(
            partial(
                revision_completed.send_robust,
                sender=None,
                cluster_id=revision.cluster_id,
                revision_id=revision.pk,
            )
        )


def describe_change(old: Content | None, new: Content) -> str:
    """Which profiles and values differ, in words; "" when nothing does."""
    if old is None:
        return f"content of {', '.join(sorted(new.versions))}"
    versions = changed_versions(old, new)
    values = sorted(changed_values(old, new))
    parts = [f"content of {', '.join(versions)}"] if versions else []
    parts += [f"values {_some(values)}"] if values else []
    parts += ["the engine's address or SSH keys"] if old.engine != new.engine else []
    return "; ".join(parts)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def authors_of(cluster: Cluster, values: Collection[str]) -> str:
    """Who set these values since the newest revision; `sync` when only templates changed."""
    newest = newest_revision(cluster)
    if newest is None or not values:
        return AUTHOR
    actors = (
        Event.objects.filter(
            kind="value_changed", at__gte=newest.created_at, message__startswith=f"{cluster}: "
        )
        .order_by()
        .values_list("actor", flat=True)
        .distinct()
    )
    return ", ".join(sorted(actor for actor in actors if actor)) or AUTHOR
