"""Where machines stand: what operators imported, and what follows for each machine."""

from __future__ import annotations

from django.db import models

from machines.models.facts import Machine
from machines.topology import MAX_NAME_LENGTH, Location


class _Place(models.Model):
    """The four names of a location; "" where nothing tells."""

    site = models.CharField(max_length=MAX_NAME_LENGTH, blank=True, default="")
    row = models.CharField(max_length=MAX_NAME_LENGTH, blank=True, default="")
    rack = models.CharField(max_length=MAX_NAME_LENGTH, blank=True, default="")
    chassis = models.CharField(max_length=MAX_NAME_LENGTH, blank=True, default="")

    class Meta:
        abstract = True

    @property
    def location(self) -> Location:
        """As plain data."""
        return Location(self.site, self.row, self.rack, self.chassis)


class ImportedLocation(_Place):
    """A line of an imported list. It may be there before its machine: racks are planned first."""

    key = models.CharField(
        max_length=253,
        unique=True,
        help_text="The machine: one of its MACs, its UUID, its serial number or its name.",
    )
    imported_at = models.DateTimeField()
    imported_by = models.CharField(max_length=150, blank=True, default="")

    class Meta:
        ordering = ["key"]

    def __str__(self) -> str:
        return f"{self.key}: {self.location.domain('rack') or 'nowhere'}"


class MachineLocation(_Place):
    """Where a machine stands, derived from imports, labels, switches and its name.

    Derived again whenever one of them changes, so that ten thousand are read by one query.
    """

    machine = models.OneToOneField(
        Machine, models.CASCADE, primary_key=True, related_name="location"
    )

    class Meta:
        indexes = [models.Index(fields=["site", "row", "rack"], name="machine_location")]

    def __str__(self) -> str:
        return self.location.domain("chassis") or "unknown"
