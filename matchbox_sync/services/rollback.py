"""Going back: an earlier revision's content is in force again, as a new revision."""

from __future__ import annotations

from django.db import IntegrityError, transaction

from enjoliver.common.errors import Conflict
from machines.services import record_event
from matchbox_sync.content import Content, affected_profiles
from matchbox_sync.models import ChangeState, PendingChange, Revision
from matchbox_sync.services.contents import (
    content_of,
    describe_change,
    newest_revision,
    open_revision,
)
from matchbox_sync.services.pending import announce_decision, withdraw_content
from matchbox_sync.targets import engine_facts
from scheduling.models import Cluster

_TRIES = 3


def roll_back(*, cluster: Cluster, revision: Revision, actor: str, reason: str) -> Revision:
    """Make the content of `revision` the one in force, as a new revision; the next sync does it.

    The content that was in force counts as rejected, so templates and values that still say it
    are held back. The release policy decides which machines move and when, as for any revision;
    what was rendered for a machine before is not rendered again. Raises Conflict when there is
    nothing to go back from, or when the revision cannot be had any more.
    """
    for attempt in range(_TRIES):
        try:
            with transaction.atomic():
                return _roll_back(cluster, revision, actor, reason)
        except IntegrityError:  # a sync opened a revision with the same number at this moment
            if attempt == _TRIES - 1:
                raise Conflict("another revision is being made; try again") from None
    raise AssertionError("unreachable")


def previous_content(revision: Revision) -> Revision | None:
    """The newest earlier revision with another content that nobody rejected; what to go back to."""
    rejected = PendingChange.objects.filter(
        cluster=revision.cluster_id, state=ChangeState.REJECTED
    ).values("fingerprint")
    return (
        Revision.objects.filter(cluster=revision.cluster_id, number__lt=revision.number)
        .exclude(fingerprint=revision.fingerprint)
        .exclude(fingerprint__in=rejected)
        .exclude(values={})
        .order_by("-number")
        .first()
    )


def _roll_back(cluster: Cluster, revision: Revision, actor: str, reason: str) -> Revision:
    newest = newest_revision(cluster)
    content = content_of(revision)
    present = content_of(newest) if newest else None
    if revision.cluster_id != cluster.pk or newest is None:
        raise Conflict(f"{revision} is not one of cluster {cluster}")
    _check_usable(revision, content, present)
    assert content is not None  # noqa: S101 - `_check_usable` saw to it
    if present is not None:
        withdraw_content(
            cluster=cluster,
            content=present,
            taken=content.fingerprint,
            revision=newest,
            actor=actor,
            reason=reason,
        )
    made = open_revision(
        cluster=cluster,
        content=content,
        cause=f"rollback to revision {revision.number}: {describe_change(present, content)}",
        author=actor,
        reason=reason,
        back_to=revision.number,
        after=newest,
    )
    record_event(
        kind="rollback",
        message=f"{cluster}: revision {made.number} is {revision.number} again: {reason}",
        actor=actor,
    )
    announce_decision(cluster.pk)
    return made


def _check_usable(revision: Revision, content: Content | None, present: Content | None) -> None:
    if content is None:
        raise Conflict(f"{revision} was made by an older release, which kept no values")
    if present is not None and not affected_profiles(present, content):
        raise Conflict(f"the content of {revision} is the one in force")
    here = engine_facts().api_uri
    if content.engine.api_uri != here:
        raise Conflict(
            f"{revision} sends its machines to {content.engine.api_uri}, but the engine is "
            f"at {here} now"
        )
