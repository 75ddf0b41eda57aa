"""Leave to change: strategies of machines, and FleetLock's groups and slots."""

from __future__ import annotations

from django.db import models

from machines.models import Machine


class StrategyName(models.TextChoices):
    """How a machine applies a new config."""

    KEXEC = "kexec", "kexec"
    REBOOT = "reboot", "reboot"
    POWEROFF = "poweroff", "power off"


class MachineStrategy(models.Model):
    """What the operator allows one machine to do when it is outdated."""

    machine = models.OneToOneField(
        Machine, models.CASCADE, primary_key=True, related_name="strategy"
    )
    is_enabled = models.BooleanField(default=True)
    strategy = models.CharField(
        max_length=16, choices=StrategyName.choices, default=StrategyName.KEXEC
    )
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField(null=True, blank=True)
    set_by = models.CharField(max_length=150, blank=True, default="")

    class Meta:
        verbose_name_plural = "machine strategies"

    def __str__(self) -> str:
        return self.strategy if self.is_enabled else "disabled"


class LockGroup(models.Model):
    """A FleetLock group: `slots` holders at most. `version` is its compare-and-swap counter."""

    name = models.CharField(max_length=128, unique=True)
    slots = models.PositiveSmallIntegerField(default=1)
    version = models.PositiveBigIntegerField(default=0, editable=False)

    def __str__(self) -> str:
        return f"{self.name} ({self.slots})"


class Slot(models.Model):
    """A held slot. `holder` is the client's opaque id; slots never free themselves."""

    group = models.ForeignKey(LockGroup, models.PROTECT, related_name="held")
    holder = models.CharField(max_length=255)
    machine = models.ForeignKey(
        Machine, models.SET_NULL, null=True, blank=True, related_name="slots"
    )
    acquired_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["group", "holder"], name="holder_once")]
        ordering = ["acquired_at"]

    def __str__(self) -> str:
        return f"{self.holder} in {self.group.name}"
