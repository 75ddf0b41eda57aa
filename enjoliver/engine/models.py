"""The permissions of engine routes that belong to no row; there is no table."""

from django.db import models


class EngineRight(models.Model):
    """Carries the rights that a superuser gives to operators in the console."""

    class Meta:
        managed = False
        default_permissions = ()
        permissions = [
            ("view_settings", "Can read the engine's settings"),
            ("export_backup", "Can export the fleet and dump the database"),
            ("shut_down", "Can stop the engine"),
        ]

    def __str__(self) -> str:
        return "rights on the engine"
