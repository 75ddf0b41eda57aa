"""What lifecycle's admin pages share: machines by name, how rows are searched, who may act."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from machines.admin import ReportedAdmin
from machines.models import Machine

MACHINE_SEARCH = ("machine__boot_mac", "machine__uuid", "machine__assignment__fqdn")
MACHINE = "machine__assignment"
"""For `list_select_related`: what the name of a row's machine needs."""


def name_of(machine: Machine | None) -> str:
    """The name that the machine has with its role, else its boot MAC; "-" for none."""
    if machine is None:
        return "-"
    assignment = getattr(machine, "assignment", None)
    return (assignment.fqdn if assignment else "") or machine.boot_mac


class NamedMachine:
    """Columns that say which machine a row is about, as people call it."""

    @admin.display(description="machine", ordering="machine__assignment__fqdn")
    def machine_name(self, row: Any) -> str:
        """Its name."""
        return name_of(row.machine)

    @admin.display(description="boot MAC", ordering="machine__boot_mac")
    def machine_mac(self, row: Any) -> str:
        """Its boot MAC."""
        return row.machine.boot_mac if row.machine else "-"


class LifecycleAdmin(NamedMachine, ReportedAdmin):
    """Rows that machines and services write, with, perhaps, actions."""

    list_select_related: bool | Sequence[str] = (MACHINE,)
    search_fields: Sequence[str] = MACHINE_SEARCH

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """For actions, which call services."""
        return request.user.has_perm(f"lifecycle.change_{self.model._meta.model_name}")
