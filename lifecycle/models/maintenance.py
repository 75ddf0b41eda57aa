"""Machines that somebody works on."""

from __future__ import annotations

from django.db import models

from machines.models import Machine


class Maintenance(models.Model):
    """While this row is there, and `until_at` has not come, somebody works on the machine.

    It gets no leave to change, counts as unavailable, raises no alert, and keeps its slot.
    """

    machine = models.OneToOneField(
        Machine, models.CASCADE, primary_key=True, related_name="maintenance"
    )
    reason = models.CharField(max_length=200)
    started_at = models.DateTimeField()
    started_by = models.CharField(max_length=150)
    until_at = models.DateTimeField(
        null=True, blank=True, help_text="It ends by itself then; empty: when somebody ends it."
    )

    class Meta:
        verbose_name = "machine in maintenance"
        verbose_name_plural = "machines in maintenance"
        ordering = ["started_at", "machine_id"]

    def __str__(self) -> str:
        return f"in maintenance: {self.reason}"
