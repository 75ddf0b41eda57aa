"""Filters and inlines of the machine's pages."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from machines.admin.base import ReadOnlyInline
from machines.models import BootJournal, Disk, Interface, MachineConflict


class InConflict(admin.SimpleListFilter):
    """Does anything contradict it?"""

    title = "in conflict"
    parameter_name = "in_conflict"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The two answers."""
        return [("yes", "Yes"), ("no", "No")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Machines with, or without, an open conflict."""
        if self.value() not in ("yes", "no"):
            return queryset
        return queryset.filter(has_conflict=self.value() == "yes")


class Installed(admin.SimpleListFilter):
    """Is it installed?"""

    title = "installed"
    parameter_name = "installed"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The three answers."""
        return [("yes", "Yes"), ("no", "No"), ("asked", "Reinstall requested")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Machines whose install report counted, or not, or that shall install again."""
        if self.value() == "asked":
            return queryset.filter(reinstall_requested_at__isnull=False)
        if self.value() in ("yes", "no"):
            return queryset.filter(installed_at__isnull=self.value() == "no")
        return queryset


class InterfaceInline(ReadOnlyInline):
    """Its interfaces, with the switch port behind each."""

    model = Interface
    fields = ("name", "mac", "is_boot", "cidrv4", "gateway", "fqdn", "port")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Interface]:
        """With the switch ports, in one query."""
        rows: QuerySet[Interface] = super().get_queryset(request)
        return rows.select_related("chassis_port__chassis")

    @admin.display(description="Switch port")
    def port(self, row: Interface) -> str:
        """The switch port, as LLDP named it."""
        return str(row.chassis_port) if hasattr(row, "chassis_port") else "-"


class DiskInline(ReadOnlyInline):
    """Its disks."""

    model = Disk
    fields = ("path", "size_bytes", "model", "serial", "is_rotational")
    readonly_fields = fields


class ConflictInline(ReadOnlyInline):
    """What contradicts it now."""

    model = MachineConflict
    fields = ("kind", "subject", "detail", "opened_at")
    readonly_fields = fields


class JournalInline(ReadOnlyInline):
    """The boots whose journal is kept."""

    model = BootJournal
    fields = ("boot_id", "created_at", "line_count")
    readonly_fields = fields
    show_change_link = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[BootJournal]:
        """Without the bodies."""
        rows: QuerySet[BootJournal] = super().get_queryset(request)
        return rows.defer("lines_zstd")
