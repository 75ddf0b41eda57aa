"""Django's own log of what operators changed in the console, for reading."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.admin.models import LogEntry

from enjoliver.engine.admin.parts import ReadOnlyAdmin


@admin.register(LogEntry)
class LogEntryAdmin(ReadOnlyAdmin):
    """Who changed which row of intent or policy, when; nobody edits it."""

    list_display = ("action_time", "user", "content_type", "object_repr", "action_flag", "message")
    list_select_related = ("user", "content_type")
    list_filter = ("action_flag", ("content_type", admin.RelatedOnlyFieldListFilter))
    search_fields = ("object_repr", "user__username")
    date_hierarchy = "action_time"
    readonly_fields = (
        "action_time",
        "user",
        "content_type",
        "object_repr",
        "action_flag",
        "message",
    )
    fields = readonly_fields

    @admin.display(description="change")
    def message(self, entry: LogEntry) -> str:
        """The change in words."""
        return str(entry.get_change_message())
