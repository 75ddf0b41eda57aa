"""Plans on request: kept as rows, made by a worker one after the other, with progress."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.db.models import F, Q, QuerySet
from django.utils import timezone

from enjoliver.common.errors import EngineError, InvalidInput, NotFound
from enjoliver.common.leases import HeldLease, LeaseLost, hold_lease
from matchbox_sync.documents import pack, unpack
from matchbox_sync.models import PendingChange, PlanRun, PlanState, Revision
from matchbox_sync.planned import Plan, Progress
from matchbox_sync.services.plan import plan_change, plan_pending
from matchbox_sync.services.storedplan import compare_revisions, plan_revision
from scheduling.models import Cluster
from scheduling.services import preview_values

logger = logging.getLogger(__name__)
KEPT = 50
SILENT_SECONDS = 60
MAX_TRIES = 3
_KEYS = {"values", "replace", "pending", "revision", "compare"}
_ONE_OF = ("pending", "revision", "compare")


def request_plan(*, cluster: Cluster, request: Mapping[str, Any], actor: str) -> PlanRun:
    """Keep a request for a plan; a worker makes it (`run_next_plan`).

    `request` is one of: `{}` (templates and values as they are now), `{"values": {…}, "replace":
    bool}`, `{"pending": change id}`, `{"revision": number}` and `{"compare": [number, number]}`.
    Raises InvalidInput or NotFound for a request that cannot be met.
    """
    title = _check(cluster, request)
    now = timezone.now()
    run = PlanRun.objects.create(
        cluster=cluster,
        request=dict(request),
        title=title[:300],
        author=actor[:150],
        created_at=now,
        heard_at=now,
    )
    old = PlanRun.objects.filter(finished_at__isnull=False).order_by("-pk")
    PlanRun.objects.filter(
        pk__in=list(old.values_list("pk", flat=True)[KEPT : KEPT + 500])
    ).delete()
    return run


def has_waiting_plans() -> bool:
    """Whether somebody waits for a plan that nobody makes."""
    return _claimable().exists()


def run_next_plan() -> PlanRun | None:
    """Make the oldest plan that waits; None when there is none, or another worker is at it.

    A plan whose worker died is made again, a few times.
    """
    with hold_lease("plan", seconds=SILENT_SECONDS) as lease:
        run = _claim() if lease else None
        if lease is None or run is None:
            return None
        _run(run, lease)
    run.refresh_from_db()
    return run


def read_result(run: PlanRun) -> dict[str, Any] | None:
    """The plan as JSON; None while it is not done."""
    if run.result_zstd is None:
        return None
    document: dict[str, Any] = json.loads(unpack(run.result_zstd))
    return document


def find_revision(cluster: Cluster, number: object) -> Revision:
    """The cluster's revision with this number; raises NotFound."""
    if isinstance(number, int) and not isinstance(number, bool) and 0 < number < 1 << 31:
        found = Revision.objects.filter(cluster=cluster, number=number).first()
        if found:
            return found
    raise NotFound(f"cluster {cluster} has no revision {str(number)[:20]}")


# --- one run ------------------------------------------------------------------------------------


def _claimable() -> QuerySet[PlanRun]:
    now, silence = timezone.now(), timedelta(seconds=SILENT_SECONDS)
    # A sign of life from the future was given before the clock stepped back.
    is_silent = Q(heard_at__lt=now - silence) | Q(heard_at__gt=now + silence)
    is_dead = Q(state=PlanState.RUNNING) & is_silent
    return PlanRun.objects.filter(Q(state=PlanState.QUEUED) | is_dead).order_by("pk")


def _claim() -> PlanRun | None:
    while (run := _claimable().first()) is not None:
        same = PlanRun.objects.filter(pk=run.pk, state=run.state, tries=run.tries)
        if run.tries >= MAX_TRIES:
            _finish(same, PlanState.FAILED, message="its worker died each time it was made")
        elif same.update(state=PlanState.RUNNING, tries=F("tries") + 1, heard_at=timezone.now()):
            return PlanRun.objects.select_related("cluster").get(pk=run.pk)
    return None


def _run(run: PlanRun, lease: HeldLease) -> None:
    rows = PlanRun.objects.filter(pk=run.pk)

    def report(done: int, total: int) -> None:
        lease.renew()
        rows.update(done=done, total=total, heard_at=timezone.now())

    try:
        plan = make_plan(cluster=run.cluster, request=run.request, progress=report)
    except EngineError as error:
        _finish(rows, PlanState.FAILED, message=error.value[:500])
    except LeaseLost:
        return  # another worker took this one for dead, and makes the plan
    except Exception as error:
        logger.exception("%s failed", run)
        _finish(rows, PlanState.FAILED, message=f"a fault of the engine: {error!r}"[:500])
    else:
        document = json.dumps(plan.to_json(), ensure_ascii=False)
        _finish(rows, PlanState.DONE, result_zstd=pack(document.encode("utf-8", "replace")))


def _finish(rows: QuerySet[PlanRun], state: PlanState, **columns: Any) -> None:
    rows.update(state=state, finished_at=timezone.now(), **columns)


def make_plan(
    *, cluster: Cluster, request: Mapping[str, Any], progress: Progress | None = None
) -> Plan:
    """The plan that `request` (as in `request_plan`) asks for."""
    if "pending" in request:
        change = _find_change(cluster, request["pending"])
        return plan_pending(change=change, progress=progress)
    if "revision" in request:
        revision = find_revision(cluster, request["revision"])
        return plan_revision(cluster=cluster, revision=revision, progress=progress)
    if "compare" in request:
        old, new = (find_revision(cluster, number) for number in request["compare"])
        return compare_revisions(old=old, new=new, progress=progress)
    return plan_change(
        cluster=cluster,
        changes=request.get("values"),
        replace=bool(request.get("replace")),
        progress=progress,
    )


# --- requests -----------------------------------------------------------------------------------


def _check(cluster: Cluster, request: Mapping[str, Any]) -> str:
    """The title of the plan; raises for a request that could never be met."""
    unknown = sorted(request.keys() - _KEYS)
    if unknown:
        raise InvalidInput(f"a plan has no {unknown[0][:40]!r}; known: {', '.join(sorted(_KEYS))}")
    chosen = [key for key in _ONE_OF if key in request]
    if len(chosen) > 1 or (chosen and len(request) > 1):
        raise InvalidInput(f"{chosen[0]!r} stands alone in the request for a plan")
    if "pending" in request:
        return str(_find_change(cluster, request["pending"]))
    if "revision" in request:
        return f"{find_revision(cluster, request['revision'])}, compared with what is desired"
    if "compare" in request:
        return _check_pair(cluster, request["compare"])
    return _check_values(cluster, request)


def _check_pair(cluster: Cluster, pair: object) -> str:
    if not isinstance(pair, list) or len(pair) != 2:
        raise InvalidInput("compare: expected two numbers of revisions")
    old, new = (find_revision(cluster, number) for number in pair)
    return f"{new}, compared with {old}"


def _check_values(cluster: Cluster, request: Mapping[str, Any]) -> str:
    values, replace = request.get("values", {}), request.get("replace", False)
    if not isinstance(values, Mapping) or not isinstance(replace, bool):
        raise InvalidInput("values: expected an object; replace: expected true or false")
    changed = preview_values(cluster=cluster, changes=values, replace=replace)
    return f"values {', '.join(changed)}" if changed else "templates and values as they are now"


def _find_change(cluster: Cluster, number: object) -> PendingChange:
    if isinstance(number, int) and not isinstance(number, bool) and 0 < number < 1 << 62:
        found = PendingChange.objects.filter(cluster=cluster, pk=number).first()
        if found:
            return found
    raise NotFound(f"cluster {cluster} has no pending change {str(number)[:20]}")
