"""App configuration: wiring of receivers."""

from django.apps import AppConfig


class LifecycleConfig(AppConfig):
    name = "lifecycle"
    default_auto_field = "django.db.models.BigAutoField"
    verbose_name = "Lifecycle (change)"

    def ready(self) -> None:
        from lifecycle.connections import connect
        from lifecycle.receivers import follow, roll_soon
        from lifecycle.services.running import running_digests
        from matchbox_sync.running import set_running_source
        from matchbox_sync.signals import desired_changed, revision_completed

        desired_changed.connect(follow, dispatch_uid="lifecycle.follow_desired")
        revision_completed.connect(roll_soon, dispatch_uid="lifecycle.roll_soon")
        set_running_source(running_digests)
        connect()
