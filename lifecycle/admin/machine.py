"""What lifecycle adds to the page of a machine."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from enjoliver.common.console import ReasonForm
from lifecycle.admin.care import MACHINE_ACTIONS, MaintenanceInline
from lifecycle.admin.strategies import STRATEGY_ACTIONS
from lifecycle.models import (
    AgentProgress,
    IgnitionReport,
    InstallAttempt,
    InstallReport,
    MachineStrategy,
    Slot,
)
from lifecycle.why import why_machine
from machines.admin import MachineAdmin, ReadOnlyInline
from machines.models import Machine


class AgentProgressInline(ReadOnlyInline):
    """What does it say that it does, and waits for?"""

    model = AgentProgress
    verbose_name_plural = "what the agent says"
    fields = readonly_fields = [
        "verb",
        "step",
        "reason",
        "since_at",
        "seen_at",
        "agent_version",
    ]


class IgnitionReportInline(ReadOnlyInline):
    """Does it run what it should?"""

    model = IgnitionReport
    ordering = ("pk",)
    fields = readonly_fields = ["is_up_to_date", "reported_at", "last_change_at", "sha512"]


class MachineStrategyInline(ReadOnlyInline):
    """What may it do about it?"""

    model = MachineStrategy
    ordering = ("pk",)
    fields = readonly_fields = ["is_enabled", "strategy", "set_by", "updated_at"]


class SlotInline(ReadOnlyInline):
    """Is it away with a slot?"""

    model = Slot
    fields = readonly_fields = [
        "group",
        "holder",
        "phase",
        "acquired_at",
        "last_seen_at",
        "deadline_at",
    ]


class InstallReportInline(ReadOnlyInline):
    """What did it say about its install?"""

    model = InstallReport
    ordering = ("pk",)
    fields = readonly_fields = ["success", "is_confirmed", "updated_at", "source"]


class InstallAttemptInline(ReadOnlyInline):
    """When was it granted the gate, and how did that end?"""

    model = InstallAttempt
    fields = readonly_fields = ["outcome", "granted_at", "deadline_at", "ended_at", "source"]


@admin.display(description="why nothing happens, or what does")
def why(machine: Machine) -> SafeString:
    """The one answer, with what else is worth knowing."""
    answer = why_machine(machine)
    lines = ((line,) for line in answer.details)
    return format_html(
        "<strong>{}</strong>{}", answer.sentence, format_html_join("", "<div>{}</div>", lines)
    )


_page: Any = MachineAdmin
_page.why = staticmethod(why)
_page.fieldsets = (_page.fieldsets[0], ("Now", {"fields": ("why",)}), *_page.fieldsets[1:])
MachineAdmin.inlines = [
    *MachineAdmin.inlines,
    MaintenanceInline,
    AgentProgressInline,
    IgnitionReportInline,
    MachineStrategyInline,
    SlotInline,
    InstallReportInline,
    InstallAttemptInline,
]
MachineAdmin.actions = (*MachineAdmin.actions, *STRATEGY_ACTIONS, *MACHINE_ACTIONS)  # type: ignore[assignment]
MachineAdmin.action_form = ReasonForm
