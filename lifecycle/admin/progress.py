"""What the agents say that they do and wait for."""

from __future__ import annotations

from django.contrib import admin

from lifecycle.admin.common import LifecycleAdmin
from lifecycle.models import AgentProgress


@admin.register(AgentProgress)
class AgentProgressAdmin(LifecycleAdmin):
    """The newest word of each machine's agent, by verb."""

    list_display = (
        "machine_name",
        "verb",
        "step",
        "reason",
        "since_at",
        "seen_at",
        "agent_version",
    )
    list_filter = ("verb",)
    ordering = ("machine", "verb")
