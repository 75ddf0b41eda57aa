"""Why a machine has no role, and what an operator can do about it."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from enjoliver.common.console import actor_of, run_for_each
from machines.admin import ReadOnlyInline, ReportedAdmin
from scheduling.models import Waiting
from scheduling.roles import CONTROL_PLANE_ROLES, KEPT_OUT, RoleName, WaitCode
from scheduling.services import assign_roles, readmit_machine

_BADGES = {
    WaitCode.CONFLICT.label: "danger",
    WaitCode.ADDRESS_IN_RANGE.label: "danger",
    WaitCode.NO_ADDRESS.label: "danger",
    WaitCode.FULL.label: "danger",
    WaitCode.UNSUITABLE.label: "warning",
    WaitCode.HELD.label: "warning",
    WaitCode.RELEASED.label: "warning",
    WaitCode.RETIRED.label: "warning",
    WaitCode.SPARE.label: "success",
    WaitCode.ENOUGH.label: "success",
    WaitCode.DISABLED.label: "warning",
    WaitCode.SPREAD.label: "warning",
    WaitCode.CONTROL_PLANE.label: "info",
    WaitCode.SETTLING.label: "info",
}


class WaitingInline(ReadOnlyInline):
    """Why the machine has no role, on the machine's page."""

    model = Waiting
    fields = ("code", "reason", "since")
    readonly_fields = fields
    verbose_name = verbose_name_plural = "Why it has no role (empty: it has one)"


@admin.register(Waiting)
class WaitingAdmin(ReportedAdmin):
    """Machines without a role. The reasons are derived at each pass of the scheduler."""

    list_display = ("boot_mac", "code_badge", "reason", "since")
    list_select_related = ("machine",)
    list_filter = ("code",)
    search_fields = ("machine__boot_mac", "machine__uuid", "reason")
    ordering = ("since", "pk")
    empty_says = "Every machine has a role."
    actions = ("readmit", "make_control_plane", "make_node")
    fieldsets = ((None, {"fields": ("machine", "code", "reason", "since", "eligible_at")}),)

    def has_assign_permission(self, request: HttpRequest) -> bool:
        """Whoever may POST /scheduler may do it here."""
        return request.user.has_perm("scheduling.add_assignment")

    @display(description="Machine", ordering="machine__boot_mac")  # type: ignore[untyped-decorator]
    def boot_mac(self, waiting: Waiting) -> str:
        """The machine's boot MAC."""
        return waiting.machine.boot_mac

    @display(description="Why has it no role", ordering="code", label=_BADGES)  # type: ignore[untyped-decorator]
    def code_badge(self, waiting: Waiting) -> str:
        """The kind of reason, in words."""
        return WaitCode(waiting.code).label

    @admin.action(
        description="Let the scheduler have released or retired machines", permissions=["assign"]
    )
    def readmit(self, request: HttpRequest, queryset: QuerySet[Waiting]) -> None:
        """Only machines that were taken out are touched; the others are the scheduler's anyway."""
        rows = queryset.filter(code__in=KEPT_OUT)

        def call(row: Waiting) -> None:
            readmit_machine(machine=row.machine, actor=actor_of(request))

        run_for_each(
            request,
            rows,
            call,
            ("machine is the scheduler's again", "machines are the scheduler's again"),
        )

    @admin.action(description="Assign: control plane", permissions=["assign"])
    def make_control_plane(self, request: HttpRequest, queryset: QuerySet[Waiting]) -> None:
        """Both roles, whatever the reason to wait says."""
        self._assign(request, queryset, CONTROL_PLANE_ROLES)

    @admin.action(description="Assign: node", permissions=["assign"])
    def make_node(self, request: HttpRequest, queryset: QuerySet[Waiting]) -> None:
        """The role of a node, whatever the reason to wait says."""
        self._assign(request, queryset, (RoleName.NODE,))

    def _assign(
        self, request: HttpRequest, queryset: QuerySet[Waiting], roles: Sequence[RoleName]
    ) -> None:
        def call(row: Waiting) -> None:
            assign_roles(machine=row.machine, roles=roles, actor=actor_of(request))

        named = ", ".join(roles)
        run_for_each(request, queryset, call, (f"machine is {named}", f"machines are {named}"))
