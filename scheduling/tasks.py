"""Tasks: one call each."""

import math

from celery import shared_task
from django.utils import timezone

from enjoliver.common.hints import hint
from scheduling import services

LONGEST_DELAY_SECONDS = 30


@shared_task(name="scheduling.tasks.run_scheduler", ignore_result=True)
def run_scheduler() -> None:
    """One pass over the default cluster; asks for the next one when the control plane settles."""
    result = services.run_scheduler(cluster=services.default_cluster())
    if result.next_at is not None:
        seconds = math.ceil((result.next_at - timezone.now()).total_seconds())
        hint(run_scheduler, delay_seconds=min(max(seconds, 1), LONGEST_DELAY_SECONDS))
