"""App configuration: wiring of receivers."""

from django.apps import AppConfig


class MatchboxSyncConfig(AppConfig):
    name = "matchbox_sync"
    default_auto_field = "django.db.models.BigAutoField"
    verbose_name = "Matchbox sync (derived)"
