"""Derived configuration: never edited, only derived again. Written by `matchbox_sync.services`."""

from __future__ import annotations

from django.db import models

from machines.models import Machine
from scheduling.models import Cluster


class Document(models.Model):
    """One Ignition document as matchbox renders it, content-addressed.

    `data` is zstd; with `base` set, the base document's bytes are the dictionary, so 10,000
    documents that differ in a few lines cost little more than one.
    """

    sha512 = models.CharField(max_length=128, primary_key=True)
    base = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="+")
    data = models.BinaryField()
    size = models.PositiveIntegerField(help_text="Bytes before compression.")

    def __str__(self) -> str:
        return f"{self.sha512[:12]} ({self.size} bytes)"


class ProfileVersion(models.Model):
    """One verified content of one profile: template, boot part and the iPXE script it gives.

    `document` is the discovery config itself (its group has no selector, `metadata` is that
    group's); of a role it is a verified sample, against which the machines' are compressed.
    """

    cluster = models.ForeignKey(Cluster, models.CASCADE, related_name="profile_versions")
    profile = models.CharField(max_length=64)
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 of template and boot part.")
    template = models.TextField(help_text="Butane as JSON with Go marks; rendered by matchbox.")
    template_name = models.CharField(max_length=128, help_text="File name below ignition/.")
    boot = models.JSONField(default=dict)
    ipxe_script = models.TextField(blank=True, default="")
    document = models.ForeignKey(Document, models.PROTECT, null=True, blank=True, related_name="+")
    metadata = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["cluster", "profile", "fingerprint"], name="profile_content_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.profile}@{self.fingerprint[:12]}"


class ProfileInForce(models.Model):
    """The newest verified version of each profile: what machines get whose stage is open."""

    cluster = models.ForeignKey(Cluster, models.CASCADE, related_name="profiles_in_force")
    profile = models.CharField(max_length=64)
    version = models.ForeignKey(ProfileVersion, models.PROTECT, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["cluster", "profile"], name="one_version_in_force"),
        ]
        verbose_name_plural = "profiles in force"

    def __str__(self) -> str:
        return str(self.version)


class Revision(models.Model):
    """One step of the cluster's configuration: immutable, numbered, with its cause."""

    cluster = models.ForeignKey(Cluster, models.CASCADE, related_name="revisions")
    number = models.PositiveIntegerField()
    fingerprint = models.CharField(max_length=64)
    cause = models.CharField(max_length=300, help_text="What changed, in words.")
    author = models.CharField(max_length=150, default="sync")
    reason = models.CharField(
        max_length=300, blank=True, default="", help_text="Why, in the words of who decided it."
    )
    values = models.JSONField(
        default=dict, blank=True, help_text="All cluster values that its configs were made with."
    )
    engine = models.JSONField(
        default=dict, blank=True, help_text="The engine's own part: its URL and the SSH keys."
    )
    back_to = models.PositiveIntegerField(
        null=True, blank=True, help_text="Of a rollback: the revision whose content it has again."
    )
    created_at = models.DateTimeField()
    completed_at = models.DateTimeField(
        null=True, blank=True, help_text="Empty while its machines are still being rendered."
    )
    machines_changed = models.PositiveIntegerField(default=0)
    profiles = models.ManyToManyField(ProfileVersion, related_name="revisions")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["cluster", "number"], name="revision_number_once"),
        ]
        ordering = ["-number"]

    def __str__(self) -> str:
        return f"revision {self.number}"


class ChangeState(models.TextChoices):
    """What was decided on a change of content."""

    WAITING = "waiting", "waiting for approval"
    APPROVED = "approved", "approved"
    REJECTED = "rejected", "rejected"
    SUPERSEDED = "superseded", "superseded"


class PendingChange(models.Model):
    """Content that is not in force because somebody must decide on it, or did.

    A row is open (`closed_at` empty) as long as it says what the sync does with this content: a
    waiting or rejected one holds it back, an approved one lets the next sync make a revision.
    """

    cluster = models.ForeignKey(Cluster, models.CASCADE, related_name="pending_changes")
    fingerprint = models.CharField(max_length=64, help_text="SHA-256 of profiles and values.")
    state = models.CharField(
        max_length=12, choices=ChangeState.choices, default=ChangeState.WAITING
    )
    affected = models.JSONField(default=list, help_text="Profiles whose configs would change.")
    summary = models.CharField(max_length=300, help_text="What would change, in words.")
    why = models.CharField(max_length=300, help_text="Why somebody must decide.")
    author = models.CharField(max_length=150, default="sync")
    profiles = models.ManyToManyField(ProfileVersion, related_name="pending_changes")
    values = models.JSONField(default=dict)
    engine = models.JSONField(default=dict)
    created_at = models.DateTimeField()
    decided_by = models.CharField(max_length=150, blank=True, default="")
    decided_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=300, blank=True, default="")
    revision = models.ForeignKey(
        Revision,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text="What it became; of a change that was rolled back, what it was.",
    )
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["cluster", "fingerprint"],
                condition=models.Q(closed_at__isnull=True),
                name="one_open_decision_a_content",
            ),
        ]
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"change {self.pk}: {self.summary}"


class PlanState(models.TextChoices):
    """How far a plan is."""

    QUEUED = "queued", "queued"
    RUNNING = "running", "running"
    DONE = "done", "done"
    FAILED = "failed", "failed"


class PlanRun(models.Model):
    """A plan that a worker makes for somebody who waits: a whole role takes minutes to render.

    `result_zstd` holds the plan as JSON. It says what was true when it was made.
    """

    cluster = models.ForeignKey(Cluster, models.CASCADE, related_name="plans")
    request = models.JSONField(help_text="What was asked for.")
    title = models.CharField(max_length=300)
    author = models.CharField(max_length=150)
    state = models.CharField(max_length=8, choices=PlanState.choices, default=PlanState.QUEUED)
    done = models.PositiveIntegerField(default=0, help_text="Machines looked at.")
    total = models.PositiveIntegerField(default=0, help_text="Machines to look at.")
    tries = models.PositiveSmallIntegerField(default=0)
    message = models.CharField(max_length=500, blank=True, default="", help_text="Why it failed.")
    created_at = models.DateTimeField()
    heard_at = models.DateTimeField(help_text="Last sign of life of its worker.")
    finished_at = models.DateTimeField(null=True, blank=True)
    result_zstd = models.BinaryField(null=True, blank=True)

    class Meta:
        verbose_name = "plan"
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"plan {self.pk}: {self.title}"


class MachineConfig(models.Model):
    """What one machine gets from one revision on: a verified document and the group's metadata.

    `metadata_zstd` holds the render metadata as JSON, without membership keys: those are always
    the present ones. A row exists only for revisions that changed this machine's config.
    """

    machine = models.ForeignKey(Machine, models.CASCADE, related_name="configs")
    revision = models.ForeignKey(Revision, models.PROTECT, related_name="configs")
    version = models.ForeignKey(ProfileVersion, models.PROTECT, related_name="configs")
    fingerprint = models.CharField(max_length=64)
    mac = models.CharField(max_length=17, help_text="The group's selector.")
    document = models.ForeignKey(Document, models.PROTECT, related_name="+")
    canonical_sha512 = models.CharField(max_length=128)
    metadata_zstd = models.BinaryField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["machine", "revision"], name="config_once_a_revision"),
        ]

    def __str__(self) -> str:
        return f"machine {self.machine_id} at {self.revision}"


class DesiredConfig(models.Model):
    """Which config a machine should run now. The digests serve the report's look-up."""

    machine = models.OneToOneField(
        Machine, models.CASCADE, primary_key=True, related_name="desired"
    )
    config = models.ForeignKey(MachineConfig, models.PROTECT, related_name="+")
    newest = models.ForeignKey(
        MachineConfig,
        models.PROTECT,
        related_name="+",
        help_text="The last one rendered; differs from `config` while the machine is held back.",
    )
    previous = models.ForeignKey(
        MachineConfig, models.SET_NULL, null=True, blank=True, related_name="+"
    )
    profile = models.CharField(max_length=64)
    sha512 = models.CharField(max_length=128)
    canonical_sha512 = models.CharField(max_length=128)
    assigned_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.profile} {self.sha512[:12]}"


class Problem(models.Model):
    """What the last sync could not do; gone when it can. `machine` empty: the whole profile."""

    cluster = models.ForeignKey(Cluster, models.CASCADE, related_name="problems")
    profile = models.CharField(max_length=64, blank=True, default="")
    machine = models.ForeignKey(
        Machine, models.CASCADE, null=True, blank=True, related_name="sync_problems"
    )
    stage = models.CharField(max_length=16, help_text="compose, render, verify or publish.")
    message = models.TextField()
    since = models.DateTimeField()

    class Meta:
        ordering = ["-since"]

    def __str__(self) -> str:
        return f"{self.stage}: {self.message[:80]}"


class SyncState(models.Model):
    """The sync gate and the story of the last run, one row a cluster."""

    cluster = models.OneToOneField(
        Cluster, models.CASCADE, primary_key=True, related_name="sync_state"
    )
    notified_at = models.DateTimeField(
        null=True, blank=True, help_text="The gate: last run that kept the configs good."
    )
    first_synced_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    duration_seconds = models.FloatField(default=0)
    outcome = models.CharField(max_length=300, blank=True, default="")
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return self.outcome or "never ran"


class ReportedTemplate(models.Model):
    """A template text that somebody sent to /ignition/version: for readers, never rendered."""

    name = models.CharField(max_length=128, primary_key=True)
    content = models.JSONField()
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.name
