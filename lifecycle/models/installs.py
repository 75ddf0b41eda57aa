"""The install gate: attempts, queue and reports."""

from __future__ import annotations

from datetime import datetime

from django.db import models

from machines.models import Machine


class InstallGate(models.Model):
    """How many machines of a site may install at once; `version` is its compare-and-swap counter.

    `checked_at` is when the engine last looked: time that it did not see (it was away, or its
    clock stepped) is no silence of a machine.
    """

    site = models.SlugField(max_length=40, unique=True, default="default")
    version = models.PositiveBigIntegerField(default=0, editable=False)
    checked_at = models.DateTimeField(null=True, blank=True, editable=False)

    def __str__(self) -> str:
        return self.site


class InstallOutcome(models.TextChoices):
    """How an attempt stands."""

    OPEN = "open", "installing"
    SUCCEEDED = "success", "succeeded"
    FAILED = "fail", "failed"
    STALLED = "stalled", "silent past its deadline"
    RELEASED = "released", "place given on by an operator"


class InstallAttempt(models.Model):
    """One grant of the install gate. `attempt_id` travels in the header `X-Enjoliver-Attempt`."""

    machine = models.ForeignKey(Machine, models.CASCADE, related_name="install_attempts")
    gate = models.ForeignKey(InstallGate, models.CASCADE, related_name="attempts")
    attempt_id = models.UUIDField(unique=True)
    source = models.GenericIPAddressField(null=True, blank=True)
    raw_query = models.CharField(max_length=2048)
    granted_at = models.DateTimeField()
    last_asked_at = models.DateTimeField(help_text="When its install last began.")
    renewed_at = models.DateTimeField(
        null=True, blank=True, help_text="When it last said, in its midst, that it goes on."
    )
    deadline_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(
        max_length=16, choices=InstallOutcome.choices, default=InstallOutcome.OPEN
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["machine"], condition=models.Q(outcome="open"), name="one_open_attempt"
            ),
        ]
        indexes = [
            models.Index(
                fields=["gate", "deadline_at"],
                condition=models.Q(outcome="open"),
                name="open_attempts",
            ),
        ]
        ordering = ["-granted_at"]

    def __str__(self) -> str:
        return f"install {self.attempt_id}: {self.get_outcome_display()}"

    @property
    def heard_at(self) -> datetime:
        """The holder's last sign of life."""
        return max(self.last_asked_at, self.renewed_at or self.last_asked_at)


class InstallWaiter(models.Model):
    """A machine in the queue before the gate; it drops out when it stops asking.

    The order of the queue is the order of the primary keys: unlike times they survive a clock
    that steps. A machine that dropped out and comes back gets a new row, at the end.
    """

    machine = models.OneToOneField(Machine, models.CASCADE, related_name="install_waiter")
    gate = models.ForeignKey(InstallGate, models.CASCADE, related_name="waiters")
    raw_query = models.CharField(max_length=2048)
    first_asked_at = models.DateTimeField()
    last_asked_at = models.DateTimeField()

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"waits since {self.first_asked_at:%H:%M:%S}"


class InstallReport(models.Model):
    """The newest install report of one machine, confirmed or not.

    It only says what was sent. Whether the machine is installed stands in `Machine.installed_at`.
    """

    machine = models.OneToOneField(
        Machine, models.CASCADE, primary_key=True, related_name="install_report"
    )
    success = models.BooleanField()
    is_confirmed = models.BooleanField(
        help_text="Sent with the grant behind it; only such a report ends the gate."
    )
    attempt = models.ForeignKey(
        InstallAttempt, models.SET_NULL, null=True, blank=True, related_name="reports"
    )
    source = models.GenericIPAddressField(null=True, blank=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    def __str__(self) -> str:
        return "success" if self.success else "fail"
