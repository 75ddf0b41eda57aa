"""What roles ask of machines, how many they want, how many are kept free."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from enjoliver.common.console import actor_of
from enjoliver.common.errors import EngineError
from machines.services.operations import check_labels
from scheduling.models import Cluster, RoleRule
from scheduling.requirements import ANYTHING
from scheduling.services import set_requirements

_RULES = ("selector", "min_disk_bytes", "min_memory_bytes", "min_cpu_count", "count", "spares")


class RoleRuleForm(forms.ModelForm):  # type: ignore[type-arg] # no generics at run time
    """The rules of one role."""

    class Meta:
        model = RoleRule
        fields = ("cluster", "role", *_RULES)

    def clean_selector(self) -> dict[str, str]:
        """Text to text."""
        labels = self.cleaned_data.get("selector")
        labels = {} if labels is None else labels
        problems = check_labels(labels)
        if problems:
            raise forms.ValidationError([f"{name}: {why}" for name, why in problems.items()])
        return dict(labels)


@admin.register(RoleRule)
class RoleRuleAdmin(ModelAdmin):  # type: ignore[misc] # unfold is untyped
    """Each change goes through the service, which records it; machines with the role keep it."""

    form = RoleRuleForm
    list_display = ("role", "cluster", *_RULES)
    list_select_related = ("cluster",)
    show_full_result_count = False
    empty_says = "No rules: every machine suits every role."

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """The rules of a role stay those of that role."""
        return ("cluster", "role") if obj else ()

    def save_model(self, request: HttpRequest, obj: RoleRule, form: Any, change: bool) -> None:
        """One service, for a new row too."""
        rules = {name: form.cleaned_data[name] for name in _RULES}
        self._set(request, obj, rules)
        obj.pk = RoleRule.objects.get_or_create(cluster=obj.cluster, role=obj.role)[0].pk

    def delete_model(self, request: HttpRequest, obj: RoleRule) -> None:
        """Without a row a role asks for nothing."""
        self._set(request, obj, {name: getattr(ANYTHING, name) for name in _RULES})
        RoleRule.objects.filter(pk=obj.pk).delete()

    def delete_queryset(self, request: HttpRequest, queryset: Any) -> None:
        """One by one."""
        for rule in queryset:
            self.delete_model(request, rule)

    def _set(self, request: HttpRequest, rule: RoleRule, rules: dict[str, Any]) -> None:
        cluster = Cluster.objects.get(pk=rule.cluster_id)
        try:
            set_requirements(cluster=cluster, role=rule.role, actor=actor_of(request), **rules)
        except EngineError as error:  # somebody else changed it since the form was checked
            self.message_user(request, error.value, messages.ERROR)
