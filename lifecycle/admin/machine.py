"""What lifecycle adds to the page of a machine."""

from __future__ import annotations

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
from machines.admin import MachineAdmin, ReadOnlyInline


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
    fields = readonly_fields = ["group", "holder", "acquired_at", "last_seen_at"]


class InstallReportInline(ReadOnlyInline):
    """What did it say about its install?"""

    model = InstallReport
    ordering = ("pk",)
    fields = readonly_fields = ["success", "is_confirmed", "updated_at", "source"]


class InstallAttemptInline(ReadOnlyInline):
    """When was it granted the gate, and how did that end?"""

    model = InstallAttempt
    fields = readonly_fields = ["outcome", "granted_at", "deadline_at", "ended_at", "source"]


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
