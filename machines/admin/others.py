"""Lists beside the machines: interfaces, switches, journals, conflicts, history, unknown boots."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from machines.admin.base import ReportedAdmin, badge, preformatted
from machines.models import (
    BootJournal,
    Chassis,
    Event,
    EventLevel,
    Interface,
    MachineConflict,
    StateChange,
    UnknownBoot,
)
from machines.services.journals import journal_lines


@admin.register(Interface)
class InterfaceAdmin(ReportedAdmin):
    """Which interface has this MAC or address?"""

    list_display = ("mac", "name", "cidrv4", "gateway", "fqdn", "is_boot", "machine")
    list_select_related = ("machine",)
    list_filter = ("is_boot",)
    search_fields = ("mac", "ipv4", "fqdn", "machine__uuid")
    ordering = ("pk",)


@admin.register(Chassis)
class ChassisAdmin(ReportedAdmin):
    """Which switches are seen, and by how many interfaces?"""

    list_display = ("chassis_id", "name", "port_count")
    search_fields = ("chassis_id", "name")
    ordering = ("name", "pk")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Chassis]:
        """With the number of ports in use."""
        rows: QuerySet[Chassis] = super().get_queryset(request)
        return rows.annotate(port_number=Count("ports"))

    @admin.display(description="Ports in use", ordering="port_number")
    def port_count(self, chassis: Chassis) -> int:
        """How many interfaces are plugged into it."""
        return int(getattr(chassis, "port_number", 0))


@admin.register(BootJournal)
class BootJournalAdmin(ReportedAdmin):
    """What did Ignition say at this boot?"""

    list_display = ("boot_id", "machine", "created_at", "line_count")
    list_select_related = ("machine",)
    search_fields = ("boot_id", "machine__uuid", "machine__boot_mac")
    ordering = ("-created_at", "-pk")
    fields = ("machine", "boot_id", "created_at", "line_count", "text")
    readonly_fields = ("text",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[BootJournal]:
        """Without the bodies; the page of one journal loads its own."""
        rows: QuerySet[BootJournal] = super().get_queryset(request)
        return rows.defer("lines_zstd")

    @admin.display(description="Journal")
    def text(self, journal: BootJournal) -> SafeString:
        """All lines."""
        return preformatted("\n".join(journal_lines(journal)))


@admin.register(MachineConflict)
class MachineConflictAdmin(ReportedAdmin):
    """What contradicts what, since when?"""

    list_display = ("kind", "subject", "machine", "detail", "opened_at", "seen_at")
    list_select_related = ("machine",)
    list_filter = ("kind",)
    search_fields = ("subject", "machine__uuid", "machine__boot_mac")
    ordering = ("-opened_at", "-pk")
    empty_says = "Nothing contradicts anything."


@admin.register(Event)
class EventAdmin(ReportedAdmin):
    """What happened, when, who did it?"""

    list_display = ("at", "level_badge", "kind", "message", "machine", "actor")
    list_select_related = ("machine",)
    list_filter = ("level", "kind")
    search_fields = ("message", "machine__uuid", "machine__boot_mac")
    ordering = ("-at", "-pk")

    @badge(
        description="Level",
        ordering="level",
        label={
            EventLevel.INFO.label: "info",
            EventLevel.WARNING.label: "warning",
            EventLevel.ERROR.label: "danger",
        },
    )
    def level_badge(self, event: Event) -> str:
        """How much it wants to be seen."""
        return EventLevel(event.level).label


@admin.register(StateChange)
class StateChangeAdmin(ReportedAdmin):
    """Which machine moved, from where to where, why?"""

    list_display = ("at", "machine", "from_state", "to_state", "by", "reason")
    list_select_related = ("machine",)
    list_filter = ("to_state",)
    search_fields = ("machine__uuid", "machine__boot_mac")
    ordering = ("-at", "-pk")


@admin.register(UnknownBoot)
class UnknownBootAdmin(ReportedAdmin):
    """Which MACs boot here and are no machine's?"""

    list_display = ("mac", "count", "first_at", "last_at")
    search_fields = ("mac",)
    ordering = ("-last_at", "-pk")
    empty_says = "Only machines that are known booted here."
