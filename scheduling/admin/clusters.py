"""A cluster: its size and placement rules, its values as YAML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminTextareaWidget

from enjoliver.common.console import actor_of
from enjoliver.common.errors import EngineError
from enjoliver.common.words import counted
from scheduling.models import Cluster
from scheduling.overview import read_overview
from scheduling.schema import SCHEMA
from scheduling.services import preview_values, set_values, update_cluster
from scheduling.services.clusters import RULES
from scheduling.valuefiles import format_values, parse_values
from scheduling.values import default_of

_STYLE = 'style="padding: 0.25rem 1rem 0.25rem 0; text-align: left; vertical-align: top"'
_CELL, _HEAD = f"<td {_STYLE}>{{}}</td>", f"<th {_STYLE}>{{}}</th>"


class ClusterForm(forms.ModelForm):  # type: ignore[type-arg] # no generics at run time
    """The rules are the model's fields; the values are edited as one YAML text."""

    values_text = forms.CharField(
        required=False,
        strip=False,
        label="Values",
        widget=UnfoldAdminTextareaWidget({"rows": 20, "spellcheck": "false"}),
        help_text="A YAML mapping of the values that differ from the defaults below; a key that "
        "you remove gets its default again.",
    )

    class Meta:
        model = Cluster
        fields = RULES

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["values_text"].initial = format_values(self.instance.values)

    def clean_values_text(self) -> dict[str, object]:
        """The mapping, checked against the schema and the machines that are there."""
        try:
            changes = parse_values(self.cleaned_data["values_text"])
            preview_values(cluster=self.instance, changes=changes, replace=True)
        except EngineError as error:
            reasons = [f"{key}: {reason}" for key, reason in error.fields.items()]
            raise forms.ValidationError(reasons or error.value) from error
        return changes


@admin.register(Cluster)
class ClusterAdmin(ModelAdmin):  # type: ignore[misc] # unfold is untyped
    """Each change goes through a service, which records it and asks for a sync."""

    list_display = ("name", "control_plane_size", "spread", "settle_seconds", "scheduling")
    show_full_result_count = False
    form = ClusterForm
    fieldsets = (
        (None, {"fields": ("name", "created_at")}),
        ("Placement", {"fields": (*RULES, "placement")}),
        ("Values", {"fields": ("values_text", "schema")}),
    )
    readonly_fields = ("name", "created_at", "placement", "schema")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """There is one cluster so far."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Cluster | None = None) -> bool:
        """The default cluster always exists."""
        return False

    def save_model(self, request: HttpRequest, obj: Cluster, form: Any, change: bool) -> None:
        """Two services: the rules, the values."""
        cluster, actor = Cluster.objects.get(pk=obj.pk), actor_of(request)
        rules = {name: form.cleaned_data[name] for name in RULES}
        try:
            update_cluster(cluster=cluster, actor=actor, **rules)
            set_values(
                cluster=cluster,
                changes=form.cleaned_data["values_text"],
                actor=actor,
                replace=True,
            )
        except EngineError as error:  # somebody else changed it since the form was checked
            self.message_user(request, error.value, messages.ERROR)

    @display(description="Scheduling", label={"on": "success", "off": "warning"})  # type: ignore[untyped-decorator]
    def scheduling(self, cluster: Cluster) -> str:
        """Does it give roles by itself?"""
        return "on" if cluster.is_scheduling_enabled else "off"

    @display(description="As it is")  # type: ignore[untyped-decorator]
    def placement(self, cluster: Cluster) -> SafeString:
        """How well the control plane is spread, and what is free."""
        overview = read_overview(cluster)
        rows = format_html_join(
            "",
            f"<tr>{_CELL * 4}</tr>",
            (
                (
                    one.level,
                    f"{one.score} of 100",
                    ", ".join(f"{name or 'unknown'}: {n}" for name, n in one.domains.items()),
                    "survives" if one.quorum_survives else "does not survive",
                )
                for one in overview.spread
            ),
        )
        return format_html(
            "<p>{}, spread {} of 100 by {}; {}; {} kept free</p>{}",
            counted(len(overview.members), "member"),
            overview.score,
            cluster.spread_level,
            counted(overview.node_count, "node"),
            counted(len(overview.spares), "spare"),
            _table(("Level", "Spread", "Members by domain", "Quorum, when any one fails"), rows),
        )

    @display(description="All values")  # type: ignore[untyped-decorator]
    def schema(self, cluster: Cluster) -> SafeString:
        """Every key with its type, default and meaning."""
        rows = format_html_join(
            "",
            '<div style="margin: 0 0 0.75rem; overflow-wrap: anywhere"><strong>{}</strong> ({}), '
            "default <code>{}</code><div>{}</div></div>",
            ((v.name, v.type.value, _shown(default_of(v)) or "empty", v.meaning) for v in SCHEMA),
        )
        waiting = reverse("admin:scheduling_waiting_changelist")
        return format_html(
            "<p>A change becomes a revision of the configuration. "
            '<a href="{}">Machines without a role</a></p>'
            "{}",
            waiting,
            rows,
        )


def _table(titles: Sequence[str], rows: SafeString) -> SafeString:
    """Rows below their titles; a narrow window scrolls it."""
    head = format_html_join("", _HEAD, ((title,) for title in titles))
    return format_html(
        '<div style="overflow-x: auto"><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>'
        "</div>",
        head,
        rows,
    )


def _shown(value: object) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)
