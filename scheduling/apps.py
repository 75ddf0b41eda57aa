"""App configuration: wiring of receivers."""

from django.apps import AppConfig


class SchedulingConfig(AppConfig):
    name = "scheduling"
    default_auto_field = "django.db.models.BigAutoField"
    verbose_name = "Scheduling (intent)"

    def ready(self) -> None:
        from machines.signals import facts_changed
        from scheduling.receivers import follow

        facts_changed.connect(follow, dispatch_uid="scheduling.follow")
