"""One machine: what it is, what state, since when, what contradicts; its labels."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import Count, Exists, OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from enjoliver.common.console import actor_of, run_for_each
from machines.admin.base import ReportedAdmin, badge, preformatted
from machines.admin.parts import (
    ConflictInline,
    DiskInline,
    InConflict,
    Installed,
    InterfaceInline,
    JournalInline,
)
from machines.models import Interface, Machine, MachineConflict
from machines.services import forget_machine, request_reinstall, set_labels
from machines.services.operations import check_labels
from machines.states import State

RECENT = 20
BADGES = {
    State.BOOTING.label: "info",
    State.DISCOVERY.label: "info",
    State.INSTALL_DENIED.label: "warning",
    State.INSTALL_GRANTED.label: "warning",
    State.INSTALL_FAILED.label: "danger",
    State.INSTALL_SUCCEEDED.label: "success",
    State.RUNNING.label: "success",
}


class LabelsForm(forms.ModelForm):  # type: ignore[type-arg] # no generics at run time
    """The labels are the one thing about a machine that an operator writes."""

    class Meta:
        model = Machine
        fields = ("labels",)

    def clean_labels(self) -> dict[str, str]:
        """Text to text, within bounds."""
        labels = self.cleaned_data.get("labels")
        labels = {} if labels is None else labels
        problems = check_labels(labels)
        if problems:
            raise forms.ValidationError([f"{name}: {why}" for name, why in problems.items()])
        return dict(labels)


@admin.register(Machine)
class MachineAdmin(ReportedAdmin):
    """Machines. The apps above add inlines of their own to `inlines`."""

    list_display = (
        "boot_mac",
        "name",
        "address",
        "state_badge",
        "state_at",
        "conflicts_badge",
        "installed_at",
        "updated_at",
    )
    list_filter = ("state", InConflict, Installed)
    search_fields = (
        "uuid",
        "boot_mac",
        "serial",
        "interfaces__mac",
        "interfaces__fqdn",
        "interfaces__ipv4",
    )
    ordering = ("created_at", "pk")
    actions = ("reinstall", "forget")
    form = LabelsForm
    fieldsets = (
        (None, {"fields": ("name", "uuid", "boot_mac", "discriminator", "labels")}),
        (
            "State",
            {
                "fields": (
                    ("state", "state_at"),
                    ("installed_at", "reinstall_requested_at"),
                    ("created_at", "updated_at"),
                    "boot_id",
                )
            },
        ),
        ("Hardware", {"fields": (("serial", "product"), ("cpu_count", "memory_bytes"))}),
        ("History", {"fields": ("recent_states", "recent_events"), "classes": ("collapse",)}),
        ("The last report", {"fields": ("report",), "classes": ("collapse",)}),
    )
    inlines: ClassVar[list[Any]] = [ConflictInline, InterfaceInline, DiskInline, JournalInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Machine]:
        """With the boot interface's name and address, and the number of conflicts."""
        boot = Interface.objects.filter(machine=OuterRef("pk"), is_boot=True).order_by()
        conflicts = MachineConflict.objects.filter(machine=OuterRef("pk")).order_by()
        rows: QuerySet[Machine] = super().get_queryset(request)
        return rows.annotate(
            boot_fqdn=Subquery(boot.values("fqdn")[:1]),
            boot_cidrv4=Subquery(boot.values("cidrv4")[:1]),
            has_conflict=Exists(conflicts),
            conflict_count=Subquery(
                conflicts.values("machine").annotate(number=Count("pk")).values("number")
            ),
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Everything but the labels."""
        names: list[str] = []
        for _, options in self.fieldsets:
            for item in options["fields"]:
                names += [item] if isinstance(item, str) else item
        return [name for name in names if name != "labels"]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Labels may be edited by whoever may change machines."""
        return request.user.has_perm("machines.change_machine")

    def has_forget_permission(self, request: HttpRequest) -> bool:
        """Forgetting deletes the machine's rows."""
        return request.user.has_perm("machines.delete_machine")

    def save_model(self, request: HttpRequest, obj: Machine, form: Any, change: bool) -> None:
        """Labels go through the service; nothing else is written."""
        set_labels(machine=obj, labels=form.cleaned_data["labels"], actor=actor_of(request))

    @admin.display(description="Name", ordering="boot_fqdn")
    def name(self, machine: Any) -> str:
        """The name that the boot interface claims."""
        return machine.boot_fqdn or "-"

    @admin.display(description="Address", ordering="boot_cidrv4")
    def address(self, machine: Any) -> str:
        """The address of the boot interface."""
        return machine.boot_cidrv4 or "-"

    @badge(description="State", ordering="state", label=BADGES)
    def state_badge(self, machine: Machine) -> str:
        """The state in words."""
        return State(machine.state).label

    @badge(description="Conflicts", ordering="conflict_count", label="danger")
    def conflicts_badge(self, machine: Any) -> str:
        """How many conflicts are open; empty for none."""
        return str(machine.conflict_count or "")

    @admin.display(description="Moves")
    def recent_states(self, machine: Machine) -> SafeString | str:
        """The last moves from state to state."""
        rows = machine.state_changes.all()[:RECENT]
        lines = ((f"{row.at:%Y-%m-%d %H:%M:%S}", row, row.by, row.reason) for row in rows)
        return format_html_join("", "<div>{} {} by {} {}</div>", lines) or "-"

    @admin.display(description="Events")
    def recent_events(self, machine: Machine) -> SafeString | str:
        """The last lines of its timeline."""
        rows = machine.events.all()[:RECENT]
        lines = ((f"{row.at:%Y-%m-%d %H:%M:%S}", row.message, row.actor) for row in rows)
        return format_html_join("", "<div>{} {} {}</div>", lines) or "-"

    @admin.display(description="As sent, without the journal")
    def report(self, machine: Machine) -> SafeString:
        """The document that the machine posted last."""
        return preformatted(json.dumps(machine.facts, indent=2, ensure_ascii=False))

    @admin.action(description="Request a reinstall", permissions=["change"])
    def reinstall(self, request: HttpRequest, queryset: QuerySet[Machine]) -> None:
        """Each selected machine installs itself again at its next boot."""

        def call(machine: Machine) -> None:
            request_reinstall(
                machine=machine, actor=actor_of(request), reason="asked in the console"
            )

        run_for_each(
            request,
            queryset,
            call,
            (
                "machine installs at its next network boot",
                "machines install at their next network boot",
            ),
        )

    @admin.action(description="Forget machines that are gone", permissions=["forget"])
    def forget(self, request: HttpRequest, queryset: QuerySet[Machine]) -> None:
        """Delete machines that do not exist any more; one with a role is refused."""

        def call(machine: Machine) -> None:
            forget_machine(machine=machine, actor=actor_of(request), reason="Asked in the console.")

        run_for_each(request, queryset, call, ("machine is forgotten", "machines are forgotten"))
