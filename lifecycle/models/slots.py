"""Leave to change: strategies of machines, and FleetLock's groups and slots."""

from __future__ import annotations

from django.db import models

from lifecycle.rules import phases
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
    """A FleetLock group: `slots` holders at most. `version` is its compare-and-swap counter.

    A group with a policy asks that policy's rollout first; the others take anybody. Groups stay
    when their policy goes: a machine may still want to give its slot back.
    """

    name = models.CharField(max_length=128, unique=True)
    slots = models.PositiveIntegerField(default=1)
    policy = models.ForeignKey(
        "lifecycle.RollingPolicy",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="lock_groups",
    )
    domain = models.CharField(
        max_length=255, blank=True, default="", help_text="Of which failure domain, if of one."
    )
    version = models.PositiveBigIntegerField(default=0, editable=False)

    def __str__(self) -> str:
        return f"{self.name} ({self.slots})"


class SlotPhase(models.TextChoices):
    """What the holder of a slot does, as far as can be seen."""

    DRAINING = phases.DRAINING, "draining"
    DOWN = phases.DOWN, "down"
    POWERED_OFF = phases.POWERED_OFF, "powered off"
    CHECKING = phases.CHECKING, "checking"
    LOST = phases.LOST, "lost"


class Slot(models.Model):
    """A held slot: a lease that never frees itself. `holder` is the client's opaque id.

    Past `deadline_at` the holder is lost: it stays counted, its rollout pauses, and an operator
    releases the slot with a reason, or the machine comes back.
    """

    group = models.ForeignKey(LockGroup, models.PROTECT, related_name="held")
    holder = models.CharField(max_length=255)
    machine = models.ForeignKey(
        Machine, models.SET_NULL, null=True, blank=True, related_name="slots"
    )
    acquired_at = models.DateTimeField()
    last_seen_at = models.DateTimeField(help_text="The heartbeat: its holder's last sign of life.")
    phase = models.CharField(max_length=12, choices=SlotPhase.choices, default=SlotPhase.DRAINING)
    strategy = models.CharField(max_length=16, blank=True, default="")
    deadline_at = models.DateTimeField(
        null=True, blank=True, help_text="When it must be back; empty: nobody watches it."
    )
    lost_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["group", "holder"], name="holder_once")]
        ordering = ["acquired_at"]

    def __str__(self) -> str:
        return f"{self.holder} in {self.group.name}"
