"""App configuration: system checks."""

from django.apps import AppConfig


class EngineConfig(AppConfig):
    name = "enjoliver.engine"
    label = "engine"
    verbose_name = "Engine processes"
