"""App configuration: system checks."""

from django.apps import AppConfig


class EngineConfig(AppConfig):
    name = "enjoliver.engine"
    label = "engine"
    verbose_name = "Engine processes"

    def ready(self) -> None:
        from enjoliver.engine import checks

        assert checks  # noqa: S101 - importing registers them
