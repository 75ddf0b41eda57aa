"""What each machine runs, shall run and ran before."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from unfold.decorators import display
from unfold.views import ChangeList

from enjoliver.common.console import actor_of, run_for_each
from enjoliver.common.errors import Conflict
from enjoliver.common.words import counted
from machines.admin import MachineAdmin, ReadOnlyInline, ReportedAdmin
from matchbox_sync.models import DesiredConfig
from matchbox_sync.running import running_revisions
from matchbox_sync.services import assign_revision, assign_revisions


class _WithRunning(ChangeList):  # type: ignore[misc] # unfold is untyped
    """One question for the whole page: what do these machines run?"""

    def get_results(self, request: HttpRequest) -> None:
        """Rows with the number of the running revision."""
        super().get_results(request)
        rows: list[DesiredConfig] = list(self.result_list)  # type: ignore[has-type]
        running = running_revisions([row.pk for row in rows])
        for row in rows:
            row.running_number = running.get(row.pk)  # type: ignore[attr-defined]
        self.result_list = rows


@admin.register(DesiredConfig)
class DesiredConfigAdmin(ReportedAdmin):
    """Which config each machine should run now, and which it says that it runs."""

    list_display = (
        "machine",
        "profile",
        "running",
        "desired",
        "newest_number",
        "previous_number",
        "turn",
        "assigned_at",
    )
    list_select_related = (
        "machine",
        "config__revision",
        "newest__revision",
        "previous__revision",
    )
    list_filter = ("profile", ("config__revision", admin.RelatedOnlyFieldListFilter))
    search_fields = ("machine__uuid", "machine__boot_mac", "sha512")
    actions = ("go_forward", "go_back")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[_WithRunning]:
        """The list that knows what is running."""
        return _WithRunning

    def has_move_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Moving a machine to another config is an operator's act, unlike editing the row."""
        return bool(request.user.has_perm("matchbox_sync.change_desiredconfig"))

    @display(description="running")  # type: ignore[untyped-decorator]
    def running(self, desired: DesiredConfig) -> str:
        """The revision that it reports; empty while it said nothing, or runs something else."""
        number = getattr(desired, "running_number", None)
        return str(number) if number else "unknown"

    @display(description="desired", ordering="config__revision__number")  # type: ignore[untyped-decorator]
    def desired(self, desired: DesiredConfig) -> int:
        """The revision that it shall run."""
        return desired.config.revision.number

    @display(description="newest", ordering="newest__revision__number")  # type: ignore[untyped-decorator]
    def newest_number(self, desired: DesiredConfig) -> int:
        """The revision that it gets when its turn comes."""
        return desired.newest.revision.number

    @display(description="previous")  # type: ignore[untyped-decorator]
    def previous_number(self, desired: DesiredConfig) -> int | None:
        """The revision before the desired one."""
        return desired.previous.revision.number if desired.previous else None

    @display(description="its turn", label={"held back": "warning"})  # type: ignore[untyped-decorator]
    def turn(self, desired: DesiredConfig) -> str | None:
        """A policy has not opened it yet."""
        return "held back" if desired.config_id != desired.newest_id else None

    @admin.action(description="Give these machines their newest config", permissions=["move"])
    def go_forward(self, request: HttpRequest, queryset: QuerySet[DesiredConfig]) -> None:
        """At once, whatever a policy says; nobody reboots without a strategy."""
        ids = list(queryset.values_list("pk", flat=True))
        moved = assign_revisions(machine_ids=ids, actor=actor_of(request))
        self.message_user(request, f"{counted(len(moved), 'machine')} moved.")

    @admin.action(
        description="Make the previous config the desired one again", permissions=["move"]
    )
    def go_back(self, request: HttpRequest, queryset: QuerySet[DesiredConfig]) -> None:
        """Machine by machine; those without a previous one say so."""

        def back(desired: DesiredConfig) -> None:
            if desired.previous is None:
                raise Conflict("it has no previous config")
            assign_revision(
                machine=desired.machine,
                revision=desired.previous.revision,
                actor=actor_of(request),
            )

        rows = queryset.select_related("machine", "previous__revision")
        run_for_each(request, rows, back, ("machine went back", "machines went back"))


class DesiredConfigInline(ReadOnlyInline):
    """The desired config on the machine's page."""

    model = DesiredConfig
    fk_name = "machine"
    ordering = ("pk",)
    fields = ("profile", "config", "previous", "assigned_at")


MachineAdmin.inlines = [*MachineAdmin.inlines, DesiredConfigInline]
