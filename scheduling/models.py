"""Intent: rows are written by `scheduling.services` (operators' edits go through it too)."""

from __future__ import annotations

from django.core.validators import MaxValueValidator
from django.db import models

from enjoliver.common.addresses import MACAddressField
from machines.models import Machine
from machines.topology import Level
from scheduling.requirements import MAX_SPARES, Requirements
from scheduling.roles import MAX_SETTLE_SECONDS, RoleName, RuleRole, Spread, WaitCode

_LEVELS = [(level.value, level.value) for level in reversed(Level)]


class Cluster(models.Model):
    """One Kubernetes cluster. `version` is the compare-and-swap counter of all its placements."""

    name = models.SlugField(max_length=40, unique=True)
    control_plane_size = models.PositiveSmallIntegerField(
        default=3, help_text="Odd number of control-plane machines; 1 is allowed."
    )
    spread = models.CharField(max_length=16, choices=Spread.choices, default=Spread.PREFERRED)
    spread_level = models.CharField(
        max_length=8,
        choices=_LEVELS,
        default=Level.CHASSIS.value,
        help_text="What members of the control plane should not share. Chassis: the switches that "
        "LLDP tells, else the rack. Inside a larger domain the smaller ones are spread as well.",
    )
    settle_seconds = models.PositiveSmallIntegerField(
        default=5,
        validators=[MaxValueValidator(MAX_SETTLE_SECONDS)],
        help_text="Wait this long after the newest eligible machine before the control plane is "
        "chosen, so that it can be spread; at most 60 s after enough machines are there.",
    )
    is_scheduling_enabled = models.BooleanField(
        default=True, help_text="Off: no machine gets a role by itself."
    )
    values = models.JSONField(
        default=dict, blank=True, help_text="Values that differ from the defaults of the schema."
    )
    version = models.PositiveBigIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(control_plane_size__in=[1, 3, 5, 7, 9]),
                name="control_plane_size_is_odd",
                violation_error_message="The control plane has an odd number of members, 1 to 9.",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Assignment(models.Model):
    """The place of one machine in one cluster, with the facts pinned when it got it.

    Configs are made from the pinned facts only, so a new DHCP lease changes no config.
    `profile` is derived from the roles; empty while their set is incomplete.
    """

    machine = models.OneToOneField(Machine, models.PROTECT, related_name="assignment")
    cluster = models.ForeignKey(Cluster, models.PROTECT, related_name="assignments")
    profile = models.CharField(max_length=64, blank=True, default="")
    pod_index = models.PositiveIntegerField(
        help_text="Which pod network of the cluster's range the machine has; never shared."
    )
    boot_mac = MACAddressField(unique=True, help_text="A MAC has at most one role holder.")
    interface_name = models.CharField(max_length=64, blank=True, default="")
    ipv4 = models.GenericIPAddressField(protocol="IPv4", null=True, blank=True)
    prefix = models.PositiveSmallIntegerField(null=True, blank=True)
    gateway = models.GenericIPAddressField(protocol="IPv4", null=True, blank=True)
    fqdn = models.CharField(max_length=253, blank=True, default="")
    failure_domain = models.CharField(max_length=128, blank=True, default="")
    disk_bytes = models.BigIntegerField(default=0)
    assigned_at = models.DateTimeField()
    assigned_by = models.CharField(max_length=150, default="scheduler")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["cluster", "pod_index"], name="pod_network_once"),
        ]
        indexes = [models.Index(fields=["cluster", "profile"], name="assignment_profile")]

    def __str__(self) -> str:
        return f"{self.boot_mac}: {self.profile or 'incomplete'}"


class RoleRule(models.Model):
    """What a role of a cluster asks of a machine, and how many it wants; no row asks nothing."""

    cluster = models.ForeignKey(Cluster, models.CASCADE, related_name="rules")
    role = models.CharField(max_length=16, choices=RuleRole.choices)
    selector = models.JSONField(
        default=dict, blank=True, help_text='Labels that a machine must have: {"disk": "ssd"}.'
    )
    min_disk_bytes = models.PositiveBigIntegerField(default=0, help_text="Of its largest disk.")
    min_memory_bytes = models.PositiveBigIntegerField(default=0)
    min_cpu_count = models.PositiveIntegerField(default=0)
    count = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="At most so many machines; empty: all that there are. For nodes only: the "
        "control plane's size is the cluster's.",
    )
    spares = models.PositiveSmallIntegerField(
        default=0,
        validators=[MaxValueValidator(MAX_SPARES)],
        help_text="Machines that suit the role and are kept free, to replace one that fails.",
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["cluster", "role"], name="rule_of_role"),
            models.CheckConstraint(
                condition=models.Q(role=RuleRole.NODE) | models.Q(count=None),
                name="count_is_for_nodes",
                violation_error_message="The control plane's size is set in the cluster.",
            ),
        ]
        ordering = ["cluster_id", "role"]

    def __str__(self) -> str:
        return f"{self.get_role_display()} of {self.cluster}"

    @property
    def requirements(self) -> Requirements:
        """As plain data."""
        return Requirements(
            selector=self.selector,
            min_disk_bytes=self.min_disk_bytes,
            min_memory_bytes=self.min_memory_bytes,
            min_cpu_count=self.min_cpu_count,
            count=self.count,
            spares=self.spares,
        )


class AssignedRole(models.Model):
    """One role of one assignment; `position` keeps the order in which roles were given."""

    assignment = models.ForeignKey(Assignment, models.CASCADE, related_name="roles")
    role = models.CharField(max_length=32, choices=RoleName.choices)
    position = models.PositiveSmallIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["assignment", "role"], name="role_once"),
        ]
        indexes = [models.Index(fields=["role"], name="assigned_role")]
        ordering = ["assignment_id", "position"]

    def __str__(self) -> str:
        return self.role


class Waiting(models.Model):
    """Why a machine has no role, in words; rewritten only when the reason changes.

    A row with the code `released` or `retired` is also the operator's word that the scheduler
    leaves the machine alone; the other rows are derived at each pass.
    """

    machine = models.OneToOneField(Machine, models.CASCADE, related_name="waiting")
    code = models.CharField(max_length=32, choices=WaitCode.choices)
    reason = models.CharField(max_length=300)
    since = models.DateTimeField(help_text="Since when it waits for this reason.")
    eligible_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="Since when nothing in its facts bars it; empty while something does.",
    )

    class Meta:
        verbose_name = "waiting machine"
        ordering = ["since", "pk"]

    def __str__(self) -> str:
        return self.reason
