"""Policies of rolling updates, whom they are for, and freezes."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from lifecycle.rules import order, states
from lifecycle.rules.amounts import Amount
from lifecycle.rules.budget import Limits
from lifecycle.rules.selector import Selector
from lifecycle.rules.windows import Window
from machines.models import Machine
from scheduling.models import Cluster


class PolicyStrategy(models.TextChoices):
    """How the machines of a policy apply a new config."""

    KEXEC = "kexec", "kexec"
    REBOOT = "reboot", "reboot"
    POWEROFF = "poweroff", "power off"
    NONE = states.NO_STRATEGY, "none: at the next start"


class RolloutOrder(models.TextChoices):
    """Who goes first."""

    AUTO = order.AUTO, "by the kind of change"
    WORKERS_FIRST = order.WORKERS_FIRST, "workers first"
    CONTROL_PLANE_FIRST = order.CONTROL_PLANE_FIRST, "control plane first"
    ANY = order.ANY, "any"


class DomainLevel(models.TextChoices):
    """What a failure domain is."""

    SITE = "site", "site"
    ROW = "row", "row"
    RACK = "rack", "rack"
    CHASSIS = "chassis", "chassis"


class StartMode(models.TextChoices):
    """What happens with a new revision."""

    AUTO = "auto", "its rollout begins by itself"
    MANUAL = "manual", "its rollout waits for an operator"


class RollingPolicy(models.Model):
    """How machines of one cluster change. A machine belongs to the enabled policy that selects it
    with the highest priority, then the first name; `lifecycle.rules.validate` explains the fields.
    """

    name = models.CharField(
        max_length=40, unique=True, help_text="Also the name of its FleetLock group."
    )
    cluster = models.ForeignKey(Cluster, models.CASCADE, related_name="rolling_policies")
    is_enabled = models.BooleanField(default=True)
    priority = models.IntegerField(
        default=0, help_text="Of two policies that select a machine, the higher one counts."
    )
    selector = models.JSONField(
        default=dict,
        blank=True,
        help_text='{"roles": ["kubernetes-node"], "labels": {"rack": "3"}, "machines": ["<UUID or '
        'MAC>"]}: each that is named must match; empty selects every machine of the cluster.',
    )
    strategy = models.CharField(
        max_length=16, choices=PolicyStrategy.choices, default=PolicyStrategy.KEXEC
    )
    max_unavailable = models.CharField(
        max_length=8, default="1", help_text="Machines that may be away at once: 1, or 10%."
    )
    max_unavailable_per_domain = models.CharField(
        max_length=8, blank=True, default="", help_text="The same of one failure domain; or empty."
    )
    max_domains = models.PositiveSmallIntegerField(
        default=0, help_text="Failure domains that may miss machines at once; 0: any number."
    )
    domain_level = models.CharField(
        max_length=8, choices=DomainLevel.choices, default=DomainLevel.RACK
    )
    canary_count = models.PositiveSmallIntegerField(
        default=0, help_text="Machines that go first, alone."
    )
    canary_soak_seconds = models.PositiveIntegerField(
        default=0, help_text="How long the canary must be well before the others follow."
    )
    stages = models.JSONField(
        default=list,
        blank=True,
        help_text='[{"up_to": "25%", "soak_seconds": 600, "needs_confirmation": false}]',
    )
    order = models.CharField(
        max_length=24,
        choices=RolloutOrder.choices,
        default=RolloutOrder.AUTO,
        help_text="By the kind of change: the control plane first when the Kubernetes or etcd "
        "version changes, else the workers first.",
    )
    windows = models.JSONField(
        default=list,
        blank=True,
        help_text='[{"days": ["sat"], "start": "22:00", "minutes": 240, "time_zone": '
        '"Europe/Paris"}]; empty: always.',
    )
    failure_threshold = models.CharField(
        max_length=8,
        default="1",
        help_text="Failed machines at which the rollout pauses: 1, or 5%. The canary, the control "
        "plane and a lost slot pause it at once.",
    )
    return_seconds = models.PositiveIntegerField(
        default=1800, help_text="How long a machine may be away, and may take to begin."
    )
    settle_seconds = models.PositiveIntegerField(
        default=60, help_text="How long a machine must stay up to date before it counts as done."
    )
    silent_seconds = models.PositiveIntegerField(
        default=300, help_text="Without a report for longer a machine counts as unavailable."
    )
    gate_seconds = models.PositiveIntegerField(
        default=900, help_text="How long a health gate may fail before the rollout pauses; 0: ever."
    )
    requires_approval = models.BooleanField(
        default=False, help_text="New content waits for an operator before anything is published."
    )
    starts = models.CharField(max_length=8, choices=StartMode.choices, default=StartMode.AUTO)
    accepts_downtime = models.BooleanField(
        default=False, help_text="A control plane of one machine may be down while it restarts."
    )
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    updated_by = models.CharField(max_length=150, blank=True, default="")

    class Meta:
        verbose_name_plural = "rolling policies"
        ordering = ["cluster_id", "-priority", "name"]

    def __str__(self) -> str:
        return self.name

    @property
    def rank(self) -> tuple[int, str]:
        """Of two policies that select a machine, the one with the smaller rank counts."""
        return -self.priority, self.name

    @property
    def parsed_selector(self) -> Selector:
        """Whom it is for."""
        return Selector.read(self.selector)

    @property
    def parsed_windows(self) -> list[Window]:
        """When its machines may change."""
        return [Window.read(window) for window in self.windows]

    @property
    def limits(self) -> Limits:
        """How many may be away."""
        per_domain = self.max_unavailable_per_domain
        return Limits(
            max_unavailable=Amount.read(self.max_unavailable),
            per_domain=Amount.read(per_domain) if per_domain else None,
            max_domains=self.max_domains,
            accepts_downtime=self.accepts_downtime,
        )


class PolicyMember(models.Model):
    """Which policy a machine belongs to, and its failure domain at that policy's level.

    Derived from selectors, roles, labels and locations; stored, so that counting those of one
    policy who are away is one query.
    """

    machine = models.OneToOneField(
        Machine, models.CASCADE, primary_key=True, related_name="policy_member"
    )
    policy = models.ForeignKey(RollingPolicy, models.CASCADE, related_name="members")
    domain = models.CharField(max_length=255, blank=True, default="")
    is_control_plane = models.BooleanField(default=False)

    class Meta:
        indexes = [models.Index(fields=["policy", "domain"], name="policy_members")]

    def __str__(self) -> str:
        return f"machine {self.machine_id} of {self.policy_id}"


class Freeze(models.Model):
    """While it is in force nothing moves: everywhere, in one cluster, or under one policy."""

    cluster = models.ForeignKey(
        Cluster, models.CASCADE, null=True, blank=True, related_name="freezes"
    )
    policy = models.ForeignKey(
        RollingPolicy, models.CASCADE, null=True, blank=True, related_name="freezes"
    )
    reason = models.CharField(max_length=200)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(
        null=True, blank=True, help_text="It ends by itself then; empty: when somebody lifts it."
    )
    created_by = models.CharField(max_length=150)
    lifted_at = models.DateTimeField(null=True, blank=True)
    lifted_by = models.CharField(max_length=150, blank=True, default="")

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(
                fields=["starts_at"], condition=Q(lifted_at__isnull=True), name="freezes_in_force"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.scope}: {self.reason}"

    @property
    def scope(self) -> str:
        """What it stops, in words; costs a query where cluster or policy are not loaded."""
        if self.policy_id:
            return f"policy {self.policy}"
        return f"cluster {self.cluster}" if self.cluster_id else "everything"


class ChangeClock(models.Model):
    """One row a cluster: the compare-and-swap counter of all its rollouts together.

    Two rollouts of one cluster must not both take a member of its control plane, so every step
    that lets machines go moves `version`. `checked_at` is when a step last looked: time in which
    nobody did (the engine was away, or its clock stepped) is nobody's delay.
    """

    cluster = models.OneToOneField(
        Cluster, models.CASCADE, primary_key=True, related_name="change_clock"
    )
    version = models.PositiveBigIntegerField(default=0)
    slots_version = models.PositiveBigIntegerField(default=0)
    checked_at = models.DateTimeField(null=True, blank=True)
    members_at = models.DateTimeField(
        null=True, blank=True, help_text="When it was last derived who belongs to which policy."
    )

    def __str__(self) -> str:
        return f"changes of {self.cluster_id}"
