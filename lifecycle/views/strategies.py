"""Strategies of single machines: operators set them, machines ask for them."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import extend_schema

from enjoliver.common.errors import (
    EngineError,
    Forbidden,
    InvalidInput,
    NotAcceptable,
    NotFound,
    UnknownMachine,
)
from enjoliver.common.http import MachineView, OperatorView, json_response, parse_json, read_body
from enjoliver.common.times import rfc3339
from lifecycle.models import MachineStrategy, StrategyName
from lifecycle.services import disable_strategy, holder_id, read_leave, set_strategy
from lifecycle.views import schemas
from lifecycle.views.common import find_asking_machine, machine_part, with_boot_interface
from machines.models import Machine


class StrategyView(OperatorView):
    """One machine's strategy."""

    permission = "lifecycle.change_machinestrategy"

    @extend_schema(
        operation_id="rolling_read",
        summary="May this machine apply its config now, and how",
        parameters=[schemas.RAW_QUERY],
        responses=schemas.json_answers(
            {200: schemas.LEAVE, 401: schemas.NO_LEAVE, 403: schemas.NO_LEAVE}, 409
        ),
        tags=["lifecycle"],
    )
    def get(self, request: HttpRequest, raw_query: str) -> HttpResponse:
        """The strategy and the lock to take first; 403 with the reason when not, or not now."""
        machine = _find_machine_asking_leave(raw_query)
        leave = read_leave(machine=machine)
        if leave is None:
            raise _never_set(raw_query, "no strategy was ever set for this machine")
        if leave.strategy is None:
            raise Forbidden(
                leave.refusal,
                kind="not_now",
                extra={
                    "enable": False,
                    "strategy": None,
                    "request_raw_query": raw_query,
                    "reason": leave.refusal,
                },
            )
        return json_response(
            {
                "enable": True,
                "strategy": leave.strategy,
                "request_raw_query": raw_query,
                "lock": lock_of(machine, leave.group),
            }
        )

    @extend_schema(
        operation_id="rolling_set",
        summary="Allow a machine to apply its config (operators)",
        parameters=[schemas.RAW_QUERY],
        request={"application/json": schemas.WANTED_STRATEGY},
        responses=schemas.json_answers(
            {200: schemas.STRATEGY_SET, 404: schemas.NO_LEAVE}, 400, 401, 403, 406, 409, 413
        ),
        tags=["lifecycle"],
    )
    def post(self, request: HttpRequest, raw_query: str) -> HttpResponse:
        """Body `{"strategy": "kexec"|"reboot"|"poweroff"}`; no body is kexec."""
        strategy = read_strategy(read_body(request))
        machine = _find_machine_to_change(raw_query, strategy)
        set_strategy(machine=machine, strategy=strategy, actor=_actor(request))
        return json_response(
            {"enable": True, "strategy": strategy.value, "request_raw_query": raw_query}
        )

    @extend_schema(
        operation_id="rolling_disable",
        summary="Take a machine's leave away (operators)",
        parameters=[schemas.RAW_QUERY],
        responses=schemas.json_answers(
            {200: schemas.STRATEGY_DISABLED, 404: schemas.NO_LEAVE}, 400, 401, 403, 409
        ),
        tags=["lifecycle"],
    )
    def delete(self, request: HttpRequest, raw_query: str) -> HttpResponse:
        """Safe to repeat; the strategy's name is kept."""
        machine = _find_machine_to_change(raw_query, None)
        disable_strategy(machine=machine, actor=_actor(request))
        return json_response({"enable": False, "request_raw_query": raw_query})


class StrategyListView(MachineView):
    """All machines that ever had a strategy."""

    @extend_schema(
        operation_id="rolling_list",
        summary="The strategies of all machines that have one",
        responses=schemas.json_answers({200: schemas.STRATEGIES}),
        tags=["lifecycle"],
    )
    def get(self, request: HttpRequest) -> HttpResponse:
        """Disabled ones stay listed, with the strategy that they had."""
        rows = with_boot_interface(
            MachineStrategy.objects.all(), "is_enabled", "strategy", "created_at", "updated_at"
        )
        return json_response([_row(row) for row in rows])


def lock_of(machine: Machine, group: str) -> dict[str, str]:
    """Where `machine` takes its slot: the FleetLock server's base URL, the group and its id."""
    url = settings.FLEETLOCK_URL or settings.API_URI
    return {"url": url, "group": group, "id": holder_id(machine)}


def read_strategy(body: bytes) -> StrategyName:
    """The strategy in a body: none at all is kexec; raises NotAcceptable else than for a name."""
    if not body:
        return StrategyName.KEXEC
    try:
        document = parse_json(body)
    except ValueError as error:
        raise NotAcceptable(f"the body is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise NotAcceptable('expected {"strategy": "kexec"}')
    name = document.get("strategy", StrategyName.KEXEC.value)
    if name not in StrategyName.values:
        known = ", ".join(StrategyName.values)
        raise NotAcceptable(
            f"strategy must be one of {known}", fields={"strategy": "unknown strategy"}
        )
    return StrategyName(name)


def _find_machine_asking_leave(raw_query: str) -> Machine:
    try:
        return find_asking_machine(raw_query)
    except UnknownMachine as error:
        raise _never_set(raw_query, error.value) from error
    except InvalidInput as error:
        # The words and status of the 2018 project.
        echo = f"{raw_query}:{raw_query} is not parsable"
        extra = {"enable": None, "request_raw_query": echo}
        raise Forbidden(error.value, kind=error.kind, fields=error.fields, extra=extra) from error


def _never_set(raw_query: str, value: str) -> EngineError:
    """401 with the 2018 project's keys: its machines tell it from "disabled"."""
    extra = {"enable": False, "strategy": None, "request_raw_query": raw_query}
    return EngineError(value, kind="no_strategy", status_code=401, extra=extra)


def _find_machine_to_change(raw_query: str, strategy: StrategyName | None) -> Machine:
    try:
        return find_asking_machine(raw_query)
    except UnknownMachine as error:
        extra = {"enable": None, "request_raw_query": raw_query, "strategy": strategy}
        raise NotFound(error.value, kind=error.kind, extra=extra) from error


def _actor(request: HttpRequest) -> str:
    return request.user.get_username()


def _row(row: dict[str, Any]) -> dict[str, Any]:
    return {
        **machine_part(row),
        "enable": row["is_enabled"],
        "strategy": row["strategy"],
        "created_date": rfc3339(row["created_at"]),
        "updated_date": rfc3339(row["updated_at"]),
    }
