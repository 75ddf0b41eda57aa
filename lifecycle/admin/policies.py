"""The editor of rolling policies."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from enjoliver.common.console import actor_of, run_for_each
from enjoliver.common.errors import EngineError
from lifecycle.admin.common import MACHINE, NamedMachine
from lifecycle.admin.health import HealthGateInline
from lifecycle.models import PolicyMember, RollingPolicy, Rollout
from lifecycle.services import (
    apply_policy,
    delete_policy,
    policy_document,
    start_rollout,
)
from lifecycle.services.policies import FIELDS
from machines.admin import ReadOnlyInline
from machines.admin.base import badge


class PolicyForm(forms.ModelForm):  # type: ignore[type-arg] # no generics at run time
    """Checked by the rules of the service, which name the field and the reason."""

    class Meta:
        model = RollingPolicy
        fields = tuple(name for name in FIELDS if name != "health_gates")  # rows of their own

    def clean(self) -> dict[str, Any]:
        """All rules at once; each refusal stands at its field."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if self.errors:
            return cleaned
        try:
            apply_policy(document=self.document(), actor="", dry_run=True)
        except EngineError as error:
            for path, reason in error.fields.items() or {"": error.value}.items():
                field = path.partition(".")[0]
                text = reason if path == field else f"{path}: {reason}"
                self.add_error(field if field in self.fields else None, text)
        return cleaned

    def document(self) -> dict[str, Any]:
        """What the form says, as the service takes it; fields that are shown only stay."""
        stored = policy_document(self.instance) if self.instance.pk else {}
        wanted = {**stored, **{name: self.cleaned_data.get(name) for name in self.fields}}
        if not isinstance(wanted["cluster"], str):
            wanted["cluster"] = wanted["cluster"].name
        empty: dict[str, Any] = {"selector": {}, "stages": [], "windows": []}
        return {name: empty.get(name) if value is None else value for name, value in wanted.items()}


class PolicyMemberInline(NamedMachine, ReadOnlyInline):
    """The machines that belong to it now."""

    model = PolicyMember
    fields = readonly_fields = ["machine_name", "domain", "is_control_plane"]
    ordering = ("pk",)
    verbose_name_plural = "machines of this policy"

    def get_queryset(self, request: HttpRequest) -> QuerySet[PolicyMember]:
        """With their machines, in one query."""
        rows: QuerySet[PolicyMember] = super().get_queryset(request)
        return rows.select_related(MACHINE).defer("machine__facts")


@admin.register(RollingPolicy)
class RollingPolicyAdmin(ModelAdmin):  # type: ignore[misc] # unfold is untyped
    """How machines change: how many at once, when, in which order."""

    list_display = (
        "name",
        "enabled",
        "machines",
        "strategy",
        "max_unavailable",
        "priority",
        "active",
    )
    list_filter = ("is_enabled", "strategy")
    list_select_related = ("cluster",)
    search_fields = ("name",)
    show_full_result_count = False
    actions = ("start",)
    empty_says = "No policy: a machine changes when an operator sets a strategy for it."
    form = PolicyForm
    fieldsets = (
        (None, {"fields": ("name", "cluster", "is_enabled", "priority", "selector")}),
        (
            "How many at once",
            {
                "fields": (
                    "max_unavailable",
                    ("max_unavailable_per_domain", "max_domains", "domain_level"),
                    "accepts_downtime",
                )
            },
        ),
        ("How and when", {"fields": ("strategy", "order", "starts", "windows")}),
        ("Stages", {"fields": (("canary_count", "canary_soak_seconds"), "stages")}),
        (
            "When to stop",
            {
                "fields": (
                    "failure_threshold",
                    ("return_seconds", "settle_seconds"),
                    ("silent_seconds", "gate_seconds"),
                    "requires_approval",
                )
            },
        ),
        ("Last change", {"fields": (("updated_at", "updated_by"),)}),
    )
    inlines = [HealthGateInline, PolicyMemberInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[RollingPolicy]:
        """With the number of machines."""
        rows: QuerySet[RollingPolicy] = super().get_queryset(request)
        return rows.annotate(machine_count=Count("members")).prefetch_related("rollouts")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """A policy keeps its name, which is that of its FleetLock group, and its cluster."""
        return ["updated_at", "updated_by", *(["name", "cluster"] if obj else [])]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Not while a rollout is active: that is aborted first."""
        is_busy = obj is not None and any(row.is_active for row in obj.rollouts.all())
        return not is_busy and request.user.has_perm("lifecycle.delete_rollingpolicy")

    def has_start_permission(self, request: HttpRequest) -> bool:
        """For the action below."""
        return request.user.has_perm("lifecycle.change_rollout")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Through the service, like API and command."""
        try:
            applied = apply_policy(document=form.document(), actor=actor_of(request))
        except EngineError as error:  # it changed since the form was checked
            self.message_user(request, error.value, messages.ERROR)
            return
        obj.pk = applied.policy.pk
        for sentence in applied.advice:
            self.message_user(request, sentence, messages.INFO)

    def delete_model(self, request: HttpRequest, obj: RollingPolicy) -> None:
        """Through the service."""
        try:
            delete_policy(policy=obj, actor=actor_of(request))
        except EngineError as error:
            self.message_user(request, error.value, messages.ERROR)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[RollingPolicy]) -> None:
        """Through the service."""
        for policy in queryset:
            self.delete_model(request, policy)

    @admin.display(description="enabled", boolean=True, ordering="is_enabled")
    def enabled(self, policy: RollingPolicy) -> bool:
        """Whether it counts."""
        return policy.is_enabled

    @admin.display(description="machines", ordering="machine_count")
    def machines(self, policy: Any) -> int:
        """How many belong to it now."""
        number: int = policy.machine_count
        return number

    @badge(description="rollout", ordering="name", label="info")
    def active(self, policy: RollingPolicy) -> str:
        """Its active rollout; empty without one."""
        found = next((row for row in policy.rollouts.all() if row.is_active), None)
        return f"{found.state}, revision {found.revision_number}" if found else ""

    @admin.action(description="Start a rollout over all that is behind", permissions=["start"])
    def start(self, request: HttpRequest, rows: QuerySet[RollingPolicy]) -> None:
        """Begin the one that is ready, or make one."""
        actor = actor_of(request)

        def call(policy: RollingPolicy) -> Rollout:
            return start_rollout(policy=policy, actor=actor)

        run_for_each(
            request,
            rows.select_related("cluster"),
            call,
            done=("rollout has begun", "rollouts have begun"),
        )
