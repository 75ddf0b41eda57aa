"""Freezes: set, seen and lifted."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from enjoliver.common.console import actor_of, run_for_each
from enjoliver.common.errors import EngineError
from lifecycle.admin.common import LifecycleAdmin
from lifecycle.models import Freeze
from lifecycle.services import add_freeze, lift_freeze
from machines.admin.base import badge


class FreezeForm(forms.ModelForm):  # type: ignore[type-arg] # no generics at run time
    """Without cluster and policy it stops everything."""

    class Meta:
        model = Freeze
        fields = ("reason", "cluster", "policy", "ends_at")


@admin.register(Freeze)
class FreezeAdmin(LifecycleAdmin):
    """While one is in force nothing moves."""

    list_display = ("what", "reason", "now", "created_by", "starts_at", "ends_at", "lifted_at")
    list_select_related = ("cluster", "policy")
    list_filter = ("lifted_at",)
    search_fields = ("reason",)
    actions = ("lift",)
    form = FreezeForm
    fieldsets = (
        (
            None,
            {
                "fields": ("reason", "cluster", "policy", "ends_at"),
                "description": "Without cluster and policy it stops everything. Machines that are "
                "under way finish. Times are UTC.",
            },
        ),
    )
    empty_says = "Nothing is frozen."

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Operators set freezes, and lift them by the action."""
        return request.user.has_perm("lifecycle.add_freeze")

    def save_model(self, request: HttpRequest, obj: Freeze, form: Any, change: bool) -> None:
        """Through the service."""
        try:
            made = add_freeze(
                reason=obj.reason,
                actor=actor_of(request),
                cluster=obj.cluster,
                policy=obj.policy,
                ends_at=obj.ends_at,
            )
            obj.pk = made.pk
        except EngineError as error:
            self.message_user(request, error.value, messages.ERROR)

    @admin.display(description="stops")
    def what(self, freeze: Freeze) -> str:
        """Everything, a cluster, or a policy."""
        return freeze.scope

    @badge(
        description="state",
        ordering="lifted_at",
        label={"in force": "danger", "ended": "success", "lifted": "success"},
    )
    def now(self, freeze: Freeze) -> str:
        """Whether it stops anything."""
        if freeze.lifted_at:
            return "lifted"
        has_ended = freeze.ends_at is not None and freeze.ends_at <= timezone.now()
        return "ended" if has_ended else "in force"

    @admin.action(description="Lift: let things move again", permissions=["operate"])
    def lift(self, request: HttpRequest, rows: QuerySet[Freeze]) -> None:
        """End freezes."""
        actor = actor_of(request)

        def call(freeze: Freeze) -> bool:
            return lift_freeze(freeze=freeze, actor=actor)

        run_for_each(
            request,
            rows.select_related("cluster", "policy"),
            call,
            ("freeze is lifted", "freezes are lifted"),
        )
