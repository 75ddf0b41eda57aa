"""Health gates of rolling policies, and what their checks found. No install gate: see installs."""

from __future__ import annotations

from datetime import timedelta

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from lifecycle.models.policies import RollingPolicy
from lifecycle.rules import health


class HealthGateKind(models.TextChoices):
    """What is asked."""

    ETCD = "etcd", "etcd"
    KUBERNETES = "kubernetes", "Kubernetes nodes"
    HTTP = "http", "HTTP"
    PROMETHEUS = "prometheus", "Prometheus"
    COMMAND = "command", "command"


class HealthState(models.TextChoices):
    """Where a health gate stands."""

    UNKNOWN = health.UNKNOWN, "unknown"
    HEALTHY = health.HEALTHY, "healthy"
    UNHEALTHY = health.UNHEALTHY, "unhealthy"


class HealthGate(models.Model):
    """Something outside the engine that must be well before machines of a policy change."""

    policy = models.ForeignKey(RollingPolicy, models.CASCADE, related_name="health_gates")
    name = models.CharField(max_length=40)
    kind = models.CharField(max_length=16, choices=HealthGateKind.choices)
    config = models.JSONField(
        default=dict, blank=True, help_text="Its keys depend on the kind: docs/health-gates.md."
    )
    timeout_seconds = models.PositiveSmallIntegerField(
        default=5,
        validators=[MinValueValidator(1), MaxValueValidator(30)],
        help_text="How long one check may take.",
    )
    interval_seconds = models.PositiveSmallIntegerField(
        default=15,
        validators=[MinValueValidator(5), MaxValueValidator(3600)],
        help_text="How often it is checked while a rollout is under way.",
    )
    healthy_after = models.PositiveSmallIntegerField(
        default=2,
        validators=[MinValueValidator(1), MaxValueValidator(20)],
        help_text="Good results in a row that make it healthy.",
    )
    unhealthy_after = models.PositiveSmallIntegerField(
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(20)],
        help_text="Bad results in a row that make it unhealthy.",
    )
    is_enabled = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["policy", "name"], name="one_health_gate_a_name"),
        ]
        ordering = ["policy_id", "name"]

    def __str__(self) -> str:
        return self.name

    @property
    def pace(self) -> health.Pace:
        """How often it is checked, and what changes its state."""
        interval = timedelta(seconds=self.interval_seconds)
        return health.Pace(interval, self.healthy_after, self.unhealthy_after)


class HealthGateState(models.Model):
    """What the checks of a gate found; `version` is the compare-and-swap counter of its writers.

    `claimed_until`: until then one worker checks it, and others leave it alone.
    """

    gate = models.OneToOneField(HealthGate, models.CASCADE, primary_key=True, related_name="result")
    state = models.CharField(
        max_length=10, choices=HealthState.choices, default=HealthState.UNKNOWN
    )
    was_good = models.BooleanField(null=True, blank=True)
    streak = models.PositiveIntegerField(default=0)
    message = models.CharField(max_length=500, blank=True, default="")
    checked_at = models.DateTimeField(null=True, blank=True)
    changed_at = models.DateTimeField(null=True, blank=True)
    took_milliseconds = models.PositiveIntegerField(default=0)
    claimed_until = models.DateTimeField(null=True, blank=True)
    version = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.state}: {self.message}"

    @property
    def health(self) -> health.Health:
        """As the rules read it."""
        return health.Health(self.state, self.was_good, self.streak, self.message, self.checked_at)
