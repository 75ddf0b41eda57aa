"""Change: rows are written by `lifecycle.services` only."""

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
    last_asked_at = models.DateTimeField()
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
