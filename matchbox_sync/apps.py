"""App configuration: wiring of receivers."""

from django.apps import AppConfig


class MatchboxSyncConfig(AppConfig):
    name = "matchbox_sync"
    default_auto_field = "django.db.models.BigAutoField"
    verbose_name = "Matchbox sync (derived)"

    def ready(self) -> None:
        from matchbox_sync.receivers import sync_soon
        from matchbox_sync.signals import content_decided
        from scheduling.signals import intent_changed

        content_decided.connect(sync_soon, dispatch_uid="matchbox_sync.sync_on_decision")
        intent_changed.connect(sync_soon, dispatch_uid="matchbox_sync.sync_soon")
