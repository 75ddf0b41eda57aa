"""Rows that any part may need: heartbeats of processes and leases on work."""

from __future__ import annotations

from django.db import models


class Heartbeat(models.Model):
    """When a part of the engine last showed life; one row a part, written by upsert."""

    name = models.CharField(max_length=64, primary_key=True)
    at = models.DateTimeField()
    detail = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        verbose_name = "heartbeat"

    def __str__(self) -> str:
        return f"{self.name} at {self.at:%Y-%m-%d %H:%M:%S}"


class Lease(models.Model):
    """The right to do one kind of work alone, until `expires_at`; taken by compare-and-swap."""

    name = models.CharField(max_length=64, primary_key=True)
    owner = models.CharField(max_length=64, blank=True, default="")
    expires_at = models.DateTimeField()

    class Meta:
        verbose_name = "lease"

    def __str__(self) -> str:
        return f"{self.name} held by {self.owner or 'nobody'}"
