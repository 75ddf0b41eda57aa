"""App configuration of the shared part."""

from django.apps import AppConfig


class CommonConfig(AppConfig):
    name = "enjoliver.common"
    label = "common"
    default_auto_field = "django.db.models.BigAutoField"
    verbose_name = "Engine"
