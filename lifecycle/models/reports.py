"""What machines say of their config."""

from __future__ import annotations

from django.db import models

from machines.models import Machine


class IgnitionReport(models.Model):
    """The newest config report of one machine: the busiest row, one small write a minute."""

    machine = models.OneToOneField(
        Machine, models.CASCADE, primary_key=True, related_name="ignition_report"
    )
    is_up_to_date = models.BooleanField()
    sha512 = models.CharField(
        max_length=128, blank=True, default="", help_text="Digest of the running config."
    )
    canonical_sha512 = models.CharField(
        max_length=128,
        blank=True,
        default="",
        help_text="Digest of its RFC 8785 form; empty until the document is known.",
    )
    # No index on it: an index would double the cost of the write that happens each minute.
    reported_at = models.DateTimeField()
    created_at = models.DateTimeField()
    last_change_at = models.DateTimeField(
        null=True, blank=True, help_text="When the verdict last flipped."
    )

    def __str__(self) -> str:
        return "up to date" if self.is_up_to_date else "outdated"
