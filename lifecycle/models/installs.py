"""The install gate: attempts, queue and reports."""

from __future__ import annotations

from datetime import datetime

from django.db import models

from machines.models import Machine


class LimitScope(models.TextChoices):
    """What a limit of installs is for; the names are those of `lifecycle.queueing.Keys`."""

    SITE = "site", "site"
    RACK = "rack", "rack"
    ASSET_SERVER = "asset_server", "asset server"


class InstallLimit(models.Model):
    """How many machines may install at once at one site, in one rack or from one asset server."""

    scope = models.CharField(max_length=16, choices=LimitScope.choices)
    name = models.CharField(
        max_length=300,
        blank=True,
        default="",
        help_text="Which one: a site's name, a rack as its machines show it (site:dc1/rack:7), or "
        "the machines' label asset-server. Empty: each one without a limit of its own.",
    )
    concurrency = models.PositiveIntegerField(help_text="Zero: nobody may install.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["scope", "name"], name="one_limit_each"),
        ]
        ordering = ["scope", "name"]

    def __str__(self) -> str:
        return f"{self.concurrency} at {self.get_scope_display()} {self.name or '(each)'}"


class _Placed(models.Model):
    """Where an install loads the network, as it was when the machine asked."""

    site = models.CharField(max_length=128, blank=True, default="")
    rack = models.CharField(max_length=400, blank=True, default="")
    asset_server = models.CharField(max_length=128, blank=True, default="")

    class Meta:
        abstract = True


class InstallGate(models.Model):
    """The install queue; `version` is the compare-and-swap counter of all its grants.

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


class InstallAttempt(_Placed):
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


class InstallWaiter(_Placed):
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
        indexes = [
            models.Index(fields=["rack", "id"], name="waiters_of_rack"),
            models.Index(fields=["site", "id"], name="waiters_of_site"),
        ]
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
