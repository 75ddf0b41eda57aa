"""What machines may do when they are outdated."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from enjoliver.common.console import actor_of, run_for_each
from lifecycle.admin.common import MACHINE, MACHINE_SEARCH, NamedMachine
from lifecycle.models import MachineStrategy, StrategyName
from lifecycle.services import disable_strategy, drop_strategy, set_strategy
from machines.models import Machine

Action = Callable[[Any, HttpRequest, QuerySet[Any]], None]
PERMISSION = "lifecycle.change_machinestrategy"


def strategy_action(name: str, label: str, change: Callable[..., object]) -> Action:
    """An action on machines or strategy rows: `change(machine, actor)` for each."""

    def run(model_admin: Any, request: HttpRequest, rows: QuerySet[Any]) -> None:
        if not request.user.has_perm(PERMISSION):
            messages.error(request, f"You lack the permission {PERMISSION}.")
            return
        actor = actor_of(request)
        run_for_each(
            request,
            _machines(rows),
            lambda machine: change(machine=machine, actor=actor),
            done=("strategy is changed", "strategies are changed"),
        )

    run.__name__ = f"strategy_{name}"
    return admin.action(description=label)(run)


def _machines(rows: QuerySet[Any]) -> QuerySet[Machine]:
    if rows.model is Machine:
        return rows
    return Machine.objects.filter(pk__in=rows.values("pk"))


STRATEGY_ACTIONS: list[Action] = [
    *(
        strategy_action(
            strategy.value,
            f"Allow update by {strategy.label}",
            partial(set_strategy, strategy=strategy),
        )
        for strategy in StrategyName
    ),
    strategy_action("none", "Allow no update: block it", disable_strategy),
    strategy_action("policy", "Leave it to its policy: no strategy of its own", drop_strategy),
]


@admin.register(MachineStrategy)
class MachineStrategyAdmin(NamedMachine, ModelAdmin):  # type: ignore[misc]
    """Strategies of single machines; a machine without one is told nothing."""

    list_display = ("machine_name", "machine_mac", "granted", "strategy", "set_by", "updated_at")
    list_select_related = (MACHINE,)
    list_filter = ("is_enabled", "strategy")
    search_fields = MACHINE_SEARCH
    show_full_result_count = False
    empty_says = "No machine has a strategy of its own: policies decide, or nobody."
    actions = STRATEGY_ACTIONS
    fields = ["machine", "is_enabled", "strategy", "set_by", "created_at", "updated_at"]
    readonly_fields = ["set_by", "created_at", "updated_at"]
    autocomplete_fields = ["machine"]

    @admin.display(description="enabled", boolean=True, ordering="is_enabled")
    def granted(self, row: MachineStrategy) -> bool:
        """Whether it may act now, as far as the strategy goes."""
        return row.is_enabled

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """The machine is chosen once."""
        return [*self.readonly_fields, *(["machine"] if obj else [])]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Disabling is what an operator wants; it keeps the trace."""
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Through the service, like the API."""
        saved = set_strategy(
            machine=obj.machine,
            strategy=StrategyName(obj.strategy),
            is_enabled=obj.is_enabled,
            actor=actor_of(request),
        )
        obj.created_at, obj.updated_at = saved.created_at, saved.updated_at
