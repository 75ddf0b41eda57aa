"""Health gates of policies: what they ask, what the last check found. Not the install gate."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.admin import ModelAdmin

from enjoliver.common.console import actor_of
from enjoliver.common.errors import EngineError
from lifecycle.models import HealthGate, HealthGateState
from lifecycle.rules.health import HEALTHY, UNHEALTHY, UNKNOWN, is_stale
from lifecycle.services import check_gates_now, remove_health_gate, set_health_gate
from lifecycle.services.gates import health_of
from lifecycle.services.healthgates import check_gate, gate_document
from machines.admin import ReadOnlyInline
from machines.admin.base import badge

MOST_AT_ONCE = 16
"""Checked by one action; each may take as long as its timeout, all at the same time."""
COLOURS = {HEALTHY: "success", UNHEALTHY: "danger", UNKNOWN: "warning"}
_FIELDS = (
    "name",
    "kind",
    "config",
    "timeout_seconds",
    "interval_seconds",
    "healthy_after",
    "unhealthy_after",
    "is_enabled",
)


class Results:
    """Columns of what was found; `result` is loaded with the gates."""

    @badge(description="state", ordering="result__state", label=COLOURS)
    def state(self, gate: HealthGate) -> str:
        """As it counts now: an old result says nothing."""
        health = health_of(gate)
        return UNKNOWN if is_stale(health, gate.pace, timezone.now()) else health.state

    @admin.display(description="last result")
    def message(self, gate: HealthGate) -> str:
        """What the last check found."""
        return health_of(gate).message or "not checked yet: no rollout of the policy is active"

    @admin.display(description="checked", ordering="result__checked_at")
    def checked_at(self, gate: HealthGate) -> Any:
        """When."""
        return health_of(gate).checked_at


class HealthGateInline(Results, ReadOnlyInline):
    """On the page of a policy; each links to its own page."""

    model = HealthGate
    fields = readonly_fields = ["kind", "is_enabled", "state", "message", "checked_at"]
    ordering = ("name",)
    show_change_link = True
    verbose_name_plural = "health gates"

    def get_queryset(self, request: HttpRequest) -> QuerySet[HealthGate]:
        """With what was found."""
        rows: QuerySet[HealthGate] = super().get_queryset(request)
        return rows.select_related("result", "policy")


class HealthGateForm(forms.ModelForm):  # type: ignore[type-arg] # no generics at run time
    """Checked by the rules of the service, which name the field and the reason."""

    class Meta:
        model = HealthGate
        fields = ("policy", *_FIELDS)

    def clean(self) -> dict[str, Any]:
        """All rules at once; each refusal stands at its field."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        for path, reason in {} if self.errors else check_gate(self.document()).items():
            field = path.partition(".")[0]
            text = reason if path == field else f"{path.partition('.')[2]}: {reason}"
            self.add_error(field if field in self.fields else None, text)
        policy = cleaned.get("policy") or (self.instance.policy if self.instance.pk else None)
        others = HealthGate.objects.filter(policy=policy, name=cleaned.get("name"))
        if not self.errors and others.exclude(pk=self.instance.pk).exists():
            self.add_error("name", "the policy has another health gate of this name")
        return cleaned

    def document(self) -> dict[str, Any]:
        """What the form says, as the service takes it."""
        wanted = {name: self.cleaned_data.get(name) for name in _FIELDS if name in self.fields}
        return gate_document(HealthGate()) | wanted | {"config": wanted.get("config") or {}}


class LastResultInline(ReadOnlyInline):
    """On the page of a gate."""

    model = HealthGateState
    fields = readonly_fields = [
        "state",
        "message",
        "streak",
        "checked_at",
        "took_milliseconds",
        "changed_at",
    ]
    ordering = ("pk",)
    verbose_name = verbose_name_plural = "last result"


@admin.register(HealthGate)
class HealthGateAdmin(Results, ModelAdmin):  # type: ignore[misc] # unfold is untyped
    """Off until configured; asked only while a rollout of the policy is active."""

    list_display = ("name", "policy", "kind", "state", "message", "checked_at", "is_enabled")
    list_select_related = ("policy", "result")
    list_filter = ("kind", "is_enabled")
    search_fields = ("name", "policy__name")
    show_full_result_count = False
    actions = ("check_now",)
    empty_says = "No health gates: rollouts go by what the machines report alone."
    form = HealthGateForm
    fieldsets = (
        (None, {"fields": ("policy", "name", "kind", "config", "is_enabled")}),
        ("How often", {"fields": (("interval_seconds", "timeout_seconds"),)}),
        ("When its state changes", {"fields": (("healthy_after", "unhealthy_after"),)}),
    )
    inlines = [LastResultInline]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """A gate stays with its policy."""
        return ("policy",) if obj else ()

    def has_check_permission(self, request: HttpRequest) -> bool:
        """For the action: a check may run a program of the site."""
        return request.user.has_perm("lifecycle.change_healthgate")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Through the service."""
        before = HealthGate.objects.filter(pk=obj.pk).first() if change else None
        try:
            kept = set_health_gate(
                policy=obj.policy, document=form.document(), actor=actor_of(request), gate=before
            )
            obj.pk = kept.pk
        except EngineError as error:  # it changed since the form was checked
            self.message_user(request, error.value, messages.ERROR)

    def delete_model(self, request: HttpRequest, obj: HealthGate) -> None:
        """Through the service."""
        remove_health_gate(gate=obj, actor=actor_of(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[HealthGate]) -> None:
        """Through the service."""
        for gate in queryset.select_related("policy"):
            self.delete_model(request, gate)

    @admin.action(description="Check now", permissions=["check"])
    def check_now(self, request: HttpRequest, rows: QuerySet[HealthGate]) -> None:
        """Ask at once; the results count like any other."""
        gates = list(rows.select_related("policy", "result")[: MOST_AT_ONCE + 1])
        if len(gates) > MOST_AT_ONCE:
            self.message_user(request, f"At most {MOST_AT_ONCE} at once.", messages.ERROR)
            return
        for one in check_gates_now(gates):
            level = messages.SUCCESS if one.result.is_good else messages.WARNING
            word = "good" if one.result.is_good else "bad"
            self.message_user(request, f"{one.gate}: {word}: {one.result.message}", level)
