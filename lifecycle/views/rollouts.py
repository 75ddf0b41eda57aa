"""/api/v1: rollouts, slots, and why nothing happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import extend_schema

from enjoliver.common.bodies import MAX_PAGE, read_document, read_query_number, read_text
from enjoliver.common.errors import InvalidInput, NotFound
from enjoliver.common.http import MachineView, OperatorView, json_response
from lifecycle.models import Rollout, Slot
from lifecycle.rolloutdocs import counted_rollouts, shown_places, shown_rollout, shown_slot
from lifecycle.rules.states import ACTIVE_STATES, ROLLOUT_STATES, ROW_STATES
from lifecycle.services import (
    abort_rollout,
    pause_rollout,
    resume_rollout,
    roll_back_rollout,
    skip_machine,
    start_rollout,
)
from lifecycle.services.finding import find_policy, find_rollout
from lifecycle.views import rolloutschemas as schemas
from lifecycle.views.machines import read_reason
from lifecycle.why import why_machine, why_rollout
from machines.lookup import find_named_machine

_PAGE = 100
_HIGHEST = 2**62


def _shown(rollout: Rollout) -> HttpResponse:
    return json_response(shown_rollout(counted_rollouts().get(pk=rollout.pk)))


def _word(request: HttpRequest, name: str, words: tuple[str, ...]) -> str:
    text = request.GET.get(name, "")
    if text and text not in words:
        raise InvalidInput(f"{name}: one of {', '.join(words)}", fields={name: "unknown"})
    return text


class RolloutsView(MachineView):
    """All rollouts."""

    @extend_schema(
        operation_id="rollouts_list",
        summary="Rollouts, newest first",
        parameters=[schemas.STATE, schemas.POLICY_NAME, schemas.LIMIT, schemas.AFTER],
        responses={200: schemas.ROLLOUTS},
        tags=["rollouts"],
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        """With the number of their machines in each state."""
        limit = read_query_number(request, "limit", _PAGE, MAX_PAGE)
        after = read_query_number(request, "after", _HIGHEST, _HIGHEST)
        rows = counted_rollouts().filter(pk__lt=after).order_by("-pk")
        state = _word(request, "state", ("active", *ROLLOUT_STATES))
        if state:
            rows = rows.filter(state__in=ACTIVE_STATES if state == "active" else [state])
        if "policy" in request.GET:
            rows = rows.filter(policy_name=request.GET["policy"])
        found = list(rows[: limit + 1])
        following = found[limit - 1].pk if len(found) > limit else None
        return json_response(
            {"items": [shown_rollout(row) for row in found[:limit]], "next": following}
        )


class RolloutView(MachineView):
    """One rollout."""

    @extend_schema(
        operation_id="rollouts_read",
        summary="One rollout, by its number or its policy's name",
        responses={200: schemas.ROLLOUT},
        tags=["rollouts"],
    )
    def get(self, request: HttpRequest, rollout: str) -> HttpResponse:
        """Of a policy the active one, else the newest."""
        return _shown(find_rollout(rollout))


class PlacesView(MachineView):
    """The machines of one rollout."""

    @extend_schema(
        operation_id="rollouts_machines",
        summary="The machines of a rollout in their order",
        parameters=[schemas.PLACE_STATE, schemas.LIMIT, schemas.AFTER],
        responses={200: schemas.PLACES},
        tags=["rollouts"],
    )
    def get(self, request: HttpRequest, rollout: str) -> HttpResponse:
        """`after` is a position."""
        limit = read_query_number(request, "limit", _PAGE, MAX_PAGE)
        after = read_query_number(request, "after", 0, _HIGHEST)
        rows = find_rollout(rollout).machines.filter(position__gte=min(after, 2**31 - 1))
        state = _word(request, "state", ROW_STATES)
        if state:
            rows = rows.filter(state=state)
        found = list(rows.select_related("machine__assignment").order_by("position")[: limit + 1])
        following = found[limit].position if len(found) > limit else None
        return json_response({"items": shown_places(found[:limit]), "next": following})


Action = Callable[..., Rollout]
_ACTIONS: dict[str, Action] = {"pause": pause_rollout, "abort": abort_rollout}


class RolloutActionView(OperatorView):
    """What an operator wants with a rollout."""

    permission = "lifecycle.change_rollout"

    @extend_schema(
        operation_id="rollouts_act",
        summary="pause, resume, skip, abort or rollback (operators)",
        request={"application/json": schemas.ACTION_WANTED},
        responses={200: {"oneOf": [schemas.ROLLOUT, schemas.ROLLED_BACK]}},
        tags=["rollouts"],
    )
    def post(self, request: HttpRequest, rollout: str, action: str) -> HttpResponse:
        """409 when the rollout is in no state for it. `rollback` answers with the new revision."""
        document = read_document(request, known=("reason", "machine"))
        found, actor = find_rollout(rollout), request.user.get_username()
        if action == "resume":
            return _shown(resume_rollout(rollout=found, actor=actor))
        if action in _ACTIONS:
            moved = _ACTIONS[action](rollout=found, actor=actor, reason=read_reason(document))
            return _shown(moved)
        if action == "rollback":
            made = roll_back_rollout(rollout=found, actor=actor, reason=read_reason(document))
            return json_response({"revision": made.number, "cause": made.cause})
        if action == "skip":
            return self._skip(found, document, actor)
        raise NotFound(f"a rollout has no action {action[:32]!r}")

    def _skip(self, rollout: Rollout, document: dict[str, Any], actor: str) -> HttpResponse:
        name = read_text(document, "machine")
        if not name:
            raise InvalidInput("machine: required", fields={"machine": "required"})
        skip_machine(
            rollout=rollout,
            machine=find_named_machine(name),
            actor=actor,
            reason=read_reason(document),
        )
        return _shown(rollout)


class StartView(OperatorView):
    """Beginning a rollout."""

    permission = "lifecycle.change_rollout"

    @extend_schema(
        operation_id="policies_start",
        summary="Start the policy's rollout, or make one over all that is behind (operators)",
        request=None,
        responses={200: schemas.ROLLOUT},
        tags=["rollouts"],
    )
    def post(self, request: HttpRequest, policy: str) -> HttpResponse:
        """409 while one is active, or when no machine is behind."""
        found = find_policy(policy)
        return _shown(start_rollout(policy=found, actor=request.user.get_username()))


class SlotsView(MachineView):
    """Held FleetLock slots."""

    @extend_schema(
        operation_id="slots_list",
        summary="Who holds a slot, the longest first",
        responses={200: schemas.SLOTS},
        tags=["rollouts"],
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        """`phase` and `deadline_at` are null for slots that nobody watches."""
        rows = Slot.objects.select_related("group", "machine")[:MAX_PAGE]
        return json_response({"items": [shown_slot(row) for row in rows]})


class WhyMachineView(MachineView):
    """Why a machine does nothing."""

    @extend_schema(
        operation_id="why_machine",
        summary="Why this machine does what it does, or nothing",
        responses={200: schemas.ANSWER},
        tags=["rollouts"],
    )
    def get(self, request: HttpRequest, machine: str) -> HttpResponse:
        """One main sentence, never empty, and details."""
        return json_response(why_machine(find_named_machine(machine)).as_json())


class WhyRolloutView(MachineView):
    """Why a rollout stands where it stands."""

    @extend_schema(
        operation_id="why_rollout",
        summary="Why this rollout goes no further",
        responses={200: schemas.ANSWER},
        tags=["rollouts"],
    )
    def get(self, request: HttpRequest, rollout: str) -> HttpResponse:
        """One main sentence, never empty, and details."""
        return json_response(why_rollout(find_rollout(rollout)).as_json())
