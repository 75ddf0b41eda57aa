"""Guided replacements of control-plane members."""

from __future__ import annotations

from django.db import models

from machines.models import Machine
from scheduling.models import Cluster


class ReplacementStep(models.TextChoices):
    """What comes next, in this order."""

    CHECK = "check", "check that the quorum is kept"
    CHOOSE = "choose", "choose a spare"
    ASSIGN = "assign", "give the spare the place"
    INSTALL = "install", "wait until the new member is installed"
    REPORT = "report", "wait until the new member reports its config"
    RETIRE = "retire", "retire the old member"
    DONE = "done", "nothing"


class ReplacementState(models.TextChoices):
    """How a replacement stands. Running ones look again by themselves, also when they wait."""

    RUNNING = "running", "running"
    COMPLETED = "completed", "completed"
    CANCELLED = "cancelled", "cancelled"


class Replacement(models.Model):
    """One member of a control plane leaves, one machine takes its place; at most one at a time.

    `version` is the compare-and-swap counter: several workers may advance it at once. `waits_for`
    says why the present step is not done; empty while it goes on.
    """

    cluster = models.ForeignKey(Cluster, models.CASCADE, related_name="replacements")
    leaving = models.ForeignKey(
        Machine, models.SET_NULL, null=True, related_name="replacements_away"
    )
    leaving_mac = models.CharField(max_length=17)
    joining = models.ForeignKey(
        Machine, models.SET_NULL, null=True, blank=True, related_name="replacements_in"
    )
    is_joining_chosen_by_operator = models.BooleanField(default=False)
    step = models.CharField(
        max_length=8, choices=ReplacementStep.choices, default=ReplacementStep.CHECK
    )
    state = models.CharField(
        max_length=16, choices=ReplacementState.choices, default=ReplacementState.RUNNING
    )
    waits_for = models.CharField(max_length=300, blank=True, default="")
    reason = models.CharField(max_length=200)
    started_by = models.CharField(max_length=150)
    started_at = models.DateTimeField()
    step_at = models.DateTimeField(help_text="Since when it is at this step.")
    ended_at = models.DateTimeField(null=True, blank=True)
    score_before = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="Spread of the control plane, 0 to 100."
    )
    score_after = models.PositiveSmallIntegerField(null=True, blank=True)
    version = models.PositiveBigIntegerField(default=0, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["cluster"],
                condition=models.Q(state="running"),
                name="one_replacement_at_a_time",
            ),
        ]
        ordering = ["-started_at", "-pk"]

    def __str__(self) -> str:
        return f"replacement of {self.leaving_mac}: {self.get_state_display()}"
