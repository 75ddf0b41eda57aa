"""Who has which role, with the facts pinned when it got it."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from enjoliver.common.console import ReasonForm, actor_of, reason_of, run_for_each
from machines.admin import ReadOnlyInline, ReportedAdmin
from machines.models import ConflictKind, MachineConflict
from scheduling.models import AssignedRole, Assignment
from scheduling.services import approve_pins, release_machine

_PINNED = ("interface_name", "ipv4", "prefix", "gateway", "fqdn", "failure_domain", "disk_bytes")


class AssignedRoleInline(ReadOnlyInline):
    """The roles of one assignment, in the order they were given."""

    model = AssignedRole
    fields = ("position", "role")
    readonly_fields = fields


class AssignmentInline(ReadOnlyInline):
    """The role of a machine, on the machine's page."""

    model = Assignment
    fields = ("cluster", "profile", "pod_index", "ipv4", "failure_domain", "assigned_at")
    readonly_fields = fields
    ordering = ("pk",)
    show_change_link = True


@admin.register(Assignment)
class AssignmentAdmin(ReportedAdmin):
    """Assignments are given by the scheduler or POST /scheduler; here they end or are re-pinned."""

    list_display = (
        "boot_mac",
        "fqdn",
        "ipv4",
        "profile_badge",
        "failure_domain",
        "cluster",
        "pins_badge",
        "assigned_by",
        "assigned_at",
    )
    list_select_related = ("cluster", "machine")
    list_filter = ("profile", "cluster", "assigned_by")
    search_fields = ("boot_mac", "fqdn", "ipv4", "failure_domain", "machine__uuid")
    ordering = ("boot_mac",)
    actions = ("release", "approve")
    action_form = ReasonForm
    fieldsets = (
        (None, {"fields": ("machine", "cluster", "profile", ("assigned_at", "assigned_by"))}),
        ("Pinned facts", {"fields": ("boot_mac", *_PINNED, "pod_index")}),
    )
    inlines = (AssignedRoleInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Assignment]:
        """With whether the machine reports other facts than the pinned ones."""
        rows: QuerySet[Assignment] = super().get_queryset(request)
        changed = MachineConflict.objects.filter(
            machine=OuterRef("machine"), kind=ConflictKind.CHANGED_ADDRESS
        )
        return rows.annotate(has_changed=Exists(changed))

    def has_release_permission(self, request: HttpRequest) -> bool:
        """Releasing deletes the assignment."""
        return request.user.has_perm("scheduling.delete_assignment")

    def has_approve_permission(self, request: HttpRequest) -> bool:
        """Approving changes the pinned facts."""
        return request.user.has_perm("scheduling.change_assignment")

    @display(  # type: ignore[untyped-decorator]
        description="Profile",
        ordering="profile",
        label={"kubernetes-node": "info", "etcd-member-kubernetes-control-plane": "success"},
    )
    def profile_badge(self, assignment: Assignment) -> str:
        """The profile; a set of roles that makes none is incomplete."""
        return assignment.profile or "incomplete"

    @display(description="Facts", label={"changed": "danger", "as pinned": "success"})  # type: ignore[untyped-decorator]
    def pins_badge(self, assignment: Assignment) -> str:
        """Does the machine still report the pinned facts?"""
        return "changed" if getattr(assignment, "has_changed", False) else "as pinned"

    @admin.action(description="Release: take the roles away", permissions=["release"])
    def release(self, request: HttpRequest, queryset: QuerySet[Assignment]) -> None:
        """The machines wait for an operator afterwards."""

        def call(row: Assignment) -> None:
            release_machine(machine=row.machine, actor=actor_of(request), reason=reason_of(request))

        run_for_each(
            request,
            queryset,
            call,
            ("machine has no role any more", "machines have no role any more"),
        )

    @admin.action(description="Approve the facts reported now", permissions=["approve"])
    def approve(self, request: HttpRequest, queryset: QuerySet[Assignment]) -> None:
        """Their configuration follows with the next sync."""

        def call(row: Assignment) -> None:
            approve_pins(assignment=row, actor=actor_of(request))

        run_for_each(
            request,
            queryset,
            call,
            ("machine has its present facts pinned", "machines have their present facts pinned"),
        )
