"""What the agents say that they do and wait for."""

from __future__ import annotations

from django.db import models

from machines.models import Machine


class AgentVerb(models.TextChoices):
    """What an agent was started for, or does beside it."""

    DISCOVER = "discover", "discover"
    INSTALL = "install", "install"
    REPORT = "report", "report"
    READY = "ready", "ready"
    MEMBERSHIP = "membership", "membership"


class AgentProgress(models.Model):
    """The newest word of one machine's agent on one verb: one row, written over and over."""

    machine = models.ForeignKey(Machine, models.CASCADE, related_name="agent_progress")
    verb = models.CharField(max_length=16, choices=AgentVerb.choices)
    step = models.CharField(max_length=60)
    reason = models.CharField(
        max_length=300, blank=True, default="", help_text="What it waits for, or works on."
    )
    since_at = models.DateTimeField(
        help_text="By the machine's clock where plausible, else by the engine's."
    )
    seen_at = models.DateTimeField(help_text="When it last said so.")
    boot_id = models.CharField(max_length=64, blank=True, default="")
    agent_version = models.CharField(max_length=40, blank=True, default="")
    told = models.CharField(
        max_length=400,
        blank=True,
        default="",
        editable=False,
        help_text="What of it stands on the timeline.",
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["machine", "verb"], name="one_word_a_verb"),
        ]
        ordering = ["machine", "verb"]
        verbose_name = "word of an agent"
        verbose_name_plural = "what the agents say"

    def __str__(self) -> str:
        return f"{self.verb}: {self.step}" + (f": {self.reason}" if self.reason else "")
