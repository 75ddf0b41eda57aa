"""Rollouts: one revision on its way through the machines of one policy."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from lifecycle.models.policies import RollingPolicy
from lifecycle.rules import states
from machines.models import Machine
from matchbox_sync.models import Revision
from scheduling.models import Cluster


class RolloutState(models.TextChoices):
    """Where a rollout stands."""

    READY = states.READY, "ready to be started"
    RUNNING = states.RUNNING, "running"
    PAUSED = states.PAUSED, "paused"
    COMPLETED = states.COMPLETED, "completed"
    ABORTED = states.ABORTED, "aborted"
    SUPERSEDED = states.SUPERSEDED, "superseded by a newer revision"


class RowState(models.TextChoices):
    """Where a machine of a rollout stands."""

    WAITING = states.WAITING, "waiting"
    OPEN = states.OPEN, "open: it may change"
    UPDATING = states.UPDATING, "updating"
    DONE = states.DONE, "done"
    FAILED = states.FAILED, "failed"
    SKIPPED = states.SKIPPED, "skipped"


class Rollout(models.Model):
    """One revision on its way. `version` is the compare-and-swap counter of its steps.

    The plan (stages, order) is that of the policy when the rollout was made; limits, windows and
    durations are the policy's present ones.
    """

    policy = models.ForeignKey(
        RollingPolicy, models.SET_NULL, null=True, blank=True, related_name="rollouts"
    )
    policy_name = models.CharField(max_length=40, help_text="Kept when the policy goes.")
    cluster = models.ForeignKey(Cluster, models.CASCADE, related_name="rollouts")
    revision = models.ForeignKey(
        Revision, models.SET_NULL, null=True, blank=True, related_name="rollouts"
    )
    revision_number = models.PositiveIntegerField()
    from_number = models.PositiveIntegerField(
        default=0, help_text="The revision that most of its machines come from."
    )
    state = models.CharField(
        max_length=12, choices=RolloutState.choices, default=RolloutState.READY
    )
    reason = models.CharField(max_length=500, blank=True, default="", help_text="Why it is so.")
    details = models.TextField(
        blank=True, default="", help_text="Of a pause: the last lines of the machine concerned."
    )
    order = models.CharField(max_length=24)
    stages = models.JSONField(default=list)
    stage = models.PositiveSmallIntegerField(default=0)
    confirmed_stage = models.PositiveSmallIntegerField(default=0)
    hold = models.CharField(
        max_length=500, blank=True, default="", help_text="Why nothing moves now, if so."
    )
    gates_failing_since = models.DateTimeField(null=True, blank=True)
    version = models.PositiveBigIntegerField(default=0)
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=150)
    started_at = models.DateTimeField(null=True, blank=True)
    changed_at = models.DateTimeField(help_text="When its state last changed.")
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["policy"],
                condition=Q(state__in=states.ACTIVE_STATES),
                name="one_active_rollout_a_policy",
            ),
        ]
        indexes = [
            models.Index(
                fields=["cluster"],
                condition=Q(state__in=states.ACTIVE_STATES),
                name="active_rollouts",
            ),
        ]
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"rollout {self.pk} of {self.policy_name} to revision {self.revision_number}"

    @property
    def is_active(self) -> bool:
        """True until it ended, in whatever way."""
        return self.state in states.ACTIVE_STATES


class RolloutMachine(models.Model):
    """One machine's place in a rollout. `from_number`: the revision it goes back to."""

    rollout = models.ForeignKey(Rollout, models.CASCADE, related_name="machines")
    machine = models.ForeignKey(Machine, models.CASCADE, related_name="rollout_places")
    position = models.PositiveIntegerField()
    stage = models.PositiveSmallIntegerField(default=0)
    wave = models.PositiveSmallIntegerField(default=0)
    state = models.CharField(max_length=10, choices=RowState.choices, default=RowState.WAITING)
    reason = models.CharField(max_length=500, blank=True, default="")
    from_number = models.PositiveIntegerField(default=0)
    to_number = models.PositiveIntegerField(default=0)
    opened_at = models.DateTimeField(null=True, blank=True)
    updating_at = models.DateTimeField(null=True, blank=True)
    returned_at = models.DateTimeField(null=True, blank=True)
    ready_at = models.DateTimeField(null=True, blank=True)
    deadline_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["rollout", "machine"], name="one_place_a_rollout"),
        ]
        indexes = [
            models.Index(fields=["rollout", "state"], name="places_by_state"),
            models.Index(
                fields=["machine"],
                condition=Q(state__in=states.AWAY_STATES),
                name="places_let_go",
            ),
        ]
        ordering = ["rollout_id", "position"]
        verbose_name = "machine of a rollout"
        verbose_name_plural = "machines of rollouts"

    def __str__(self) -> str:
        return f"{self.position + 1}: {self.state}"
