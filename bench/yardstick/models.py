"""The yardstick's table: as many rows as machines."""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class Mark(models.Model):
    """One row that the bare view reads by `mac` and then updates."""

    mac = models.CharField(max_length=17, unique=True)
    size = models.PositiveIntegerField(default=0)
    seen_at = models.DateTimeField()

    objects: ClassVar[models.Manager[Mark]] = models.Manager()

    class Meta:
        app_label = "yardstick"

    def __str__(self) -> str:
        return self.mac
