"""Changes that wait for an operator's word, and what the sync uses until then."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from enjoliver.common.errors import Conflict
from machines.services import record_event
from matchbox_sync.content import Content, affected_profiles, changed_values, engine_to_json
from matchbox_sync.models import ChangeState, PendingChange, Revision
from matchbox_sync.services.contents import (
    AUTHOR,
    authors_of,
    content_of,
    describe_change,
    newest_revision,
)
from matchbox_sync.signals import content_decided
from scheduling.models import Cluster

ApprovalRule = Callable[[Cluster, Collection[str]], str | None]


def _never_asks(cluster: Cluster, profiles: Collection[str]) -> str | None:
    return None


_approval_rule: ApprovalRule = _never_asks


def set_approval_rule(rule: ApprovalRule | None) -> None:
    """Register who says that a change needs an operator's approval (an upper app's ready()).

    `rule(cluster, profiles)` gets the profiles whose configs would change and returns the reason
    why somebody must approve, or None. None instead of a rule: nobody is asked.
    """
    global _approval_rule
    _approval_rule = rule or _never_asks


@dataclass(frozen=True, slots=True)
class Choice:
    """What a sync shall use: `content`, and how a revision of it is to be signed.

    `is_new` says that this content has another effect than the one in force; `held` is the change
    that is not in force yet, or never. `after` was the newest revision at that moment, `approved`
    the decision that lets the content come into force.
    """

    content: Content
    is_new: bool
    cause: str = ""
    author: str = AUTHOR
    reason: str = ""
    held: PendingChange | None = None
    after: Revision | None = None
    approved: PendingChange | None = None


def choose_content(cluster: Cluster, live: Content) -> Choice:
    """Live content, or the one in force while a change waits for its approval or is rejected."""
    newest = newest_revision(cluster)
    return replace(_choose(cluster, content_of(newest) if newest else None, live), after=newest)


def _choose(cluster: Cluster, in_force: Content | None, live: Content) -> Choice:
    if in_force is None:  # nothing could be kept in force instead
        return Choice(live, is_new=True, cause=describe_change(None, live))
    affected = affected_profiles(in_force, live)
    if not affected:
        _close(_open_changes(cluster))  # it was taken back, or it is in force by now
        return Choice(live, is_new=False)
    decided = _decision_on(cluster, live.fingerprint)
    if decided is None or decided.state == ChangeState.WAITING:
        why = _why_it_waits(cluster, affected)
        if why:
            return Choice(in_force, is_new=False, held=_hold(cluster, in_force, live, why, decided))
        return Choice(live, True, describe_change(in_force, live), _author(cluster, in_force, live))
    if decided.state == ChangeState.REJECTED:
        _close(_open_changes(cluster).filter(state=ChangeState.WAITING))
        return Choice(in_force, is_new=False, held=decided)
    return Choice(live, True, decided.summary, decided.decided_by, decided.reason, approved=decided)


def settle_changes(cluster: Cluster, revision: Revision, approved: PendingChange | None) -> bool:
    """A revision puts live content into force: every decision before it is history.

    False, and nothing is settled, when `approved` was rejected meanwhile. In a transaction.
    """
    rows = _open_changes(cluster).filter(state=ChangeState.APPROVED)
    if approved and not rows.filter(pk=approved.pk).update(revision=revision):
        return False
    _close(_open_changes(cluster))
    return True


def approve_change(*, change: PendingChange, actor: str, reason: str = "") -> PendingChange:
    """Let a waiting (or rejected) change become the next revision.

    Raises Conflict when it was decided or superseded meanwhile.
    """
    return _decide(change, ChangeState.APPROVED, actor, reason)


def reject_change(*, change: PendingChange, actor: str, reason: str = "") -> PendingChange:
    """Keep a change out of force for as long as templates and values say the same.

    Raises Conflict when it was decided or superseded meanwhile.
    """
    return _decide(change, ChangeState.REJECTED, actor, reason)


def withdraw_content(
    *,
    cluster: Cluster,
    content: Content,
    taken: str,
    revision: Revision,
    actor: str,
    reason: str,
) -> None:
    """`content`, in force as `revision`, is rolled back; `taken` is the fingerprint that comes.

    What was approved and did not come into force yet is rejected with it. In a transaction.
    """
    decided = {"decided_by": actor[:150], "decided_at": timezone.now(), "reason": reason[:300]}
    rows = _open_changes(cluster)
    _close(rows.filter(fingerprint__in=[taken, content.fingerprint]))
    rows.filter(state=ChangeState.APPROVED).update(state=ChangeState.REJECTED, **decided)
    record_change(
        cluster=cluster,
        content=content,
        state=ChangeState.REJECTED,
        affected=sorted(content.versions),
        summary=f"revision {revision.number}: {revision.cause}",
        why="rolled back",
        author=revision.author,
        revision=revision,
        **decided,
    )


_FROM = {
    ChangeState.APPROVED: (ChangeState.WAITING, ChangeState.REJECTED),
    ChangeState.REJECTED: (ChangeState.WAITING, ChangeState.APPROVED),
}


def _decide(change: PendingChange, state: ChangeState, actor: str, reason: str) -> PendingChange:
    with transaction.atomic():
        row = PendingChange.objects.filter(
            pk=change.pk, closed_at__isnull=True, state__in=_FROM[state]
        )
        decided = {"state": state, "decided_by": actor[:150], "reason": reason[:300]}
        if not row.update(**decided, decided_at=timezone.now()):
            change.refresh_from_db()
            closed = "" if change.closed_at is None else " and closed"
            raise Conflict(f"the change is {change.get_state_display()}{closed} by now")
        record_event(
            kind=f"change_{state}",
            message=f"{change.cluster}: {change.summary}" + (f": {reason}" if reason else ""),
            actor=actor,
        )
        announce_decision(change.cluster_id)
    change.refresh_from_db()
    return change


def announce_decision(cluster_id: int) -> None:
    """Send `content_decided` after the commit."""
    transaction.on_commit(partial(content_decided.send_robust, sender=None, cluster_id=cluster_id))


# --- rows ---------------------------------------------------------------------------------------


def _open_changes(cluster: Cluster) -> QuerySet[PendingChange]:
    return PendingChange.objects.filter(cluster=cluster, closed_at__isnull=True)


def _close(rows: QuerySet[PendingChange]) -> None:
    """Nobody need decide on them any more; what was decided stays to be read."""
    now = timezone.now()
    rows.filter(state=ChangeState.WAITING).update(state=ChangeState.SUPERSEDED, closed_at=now)
    rows.update(closed_at=now)


def _decision_on(cluster: Cluster, fingerprint: str) -> PendingChange | None:
    return _open_changes(cluster).filter(fingerprint=fingerprint).first()


def _why_it_waits(cluster: Cluster, affected: list[str]) -> str | None:
    rejected = _open_changes(cluster).filter(state=ChangeState.REJECTED).first()
    if rejected:
        # It is still in the templates and values, so each further change would carry it along.
        return f"templates and values still hold what {rejected.decided_by} rejected"[:300]
    why = _approval_rule(cluster, affected)
    return why[:300] if why else None


def _hold(
    cluster: Cluster, in_force: Content, live: Content, why: str, known: PendingChange | None
) -> PendingChange:
    """The row of a waiting change, made once; what waited before it is superseded."""
    others = _open_changes(cluster).exclude(fingerprint=live.fingerprint)
    _close(others.exclude(state=ChangeState.REJECTED))
    if known is not None:
        if known.why != why:
            PendingChange.objects.filter(pk=known.pk).update(why=why)
        return known
    try:
        with transaction.atomic():
            return record_change(
                cluster=cluster,
                content=live,
                state=ChangeState.WAITING,
                affected=affected_profiles(in_force, live),
                summary=describe_change(in_force, live),
                why=why,
                author=_author(cluster, in_force, live),
            )
    except IntegrityError:  # a second worker was first
        return PendingChange.objects.get(
            cluster=cluster, fingerprint=live.fingerprint, closed_at__isnull=True
        )


def record_change(*, cluster: Cluster, content: Content, **fields: Any) -> PendingChange:
    """Write a row with its content; raises IntegrityError when an open one has it."""
    fields["summary"] = str(fields["summary"])[:300]
    change = PendingChange.objects.create(
        cluster=cluster,
        fingerprint=content.fingerprint,
        values=dict(content.values),
        engine=engine_to_json(content.engine),
        created_at=timezone.now(),
        **fields,
    )
    change.profiles.set(content.versions.values())
    record_event(
        kind=f"change_{change.state}",
        message=f"{cluster}: {change.summary}: {change.why}",
        actor=change.decided_by or change.author,
    )
    return change


def _author(cluster: Cluster, old: Content, new: Content) -> str:
    return authors_of(cluster, changed_values(old, new))
