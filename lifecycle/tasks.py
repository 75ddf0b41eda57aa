"""Tasks: one call each."""

from celery import shared_task

from enjoliver.common.passes import Pieces
from lifecycle import services


@shared_task(name="lifecycle.tasks.end_stalled_installs", ignore_result=True)
def end_stalled_installs() -> None:
    """Give on the places of installs that are silent past their deadline."""
    services.end_stalled_installs()


@shared_task(name="lifecycle.tasks.look_after_machines", ignore_result=True)
def look_after_machines() -> None:
    """Advance replacements, and end maintenance whose time is over."""
    pieces = Pieces()
    for step in (services.advance_replacements, services.end_expired_maintenance):
        with pieces.piece():
            step()
    pieces.finish()


@shared_task(name="lifecycle.tasks.advance_rollouts", ignore_result=True)
def advance_rollouts() -> None:
    """Take every rollout a step further."""
    services.advance_rollouts()


@shared_task(name="lifecycle.tasks.check_health_gates", ignore_result=True)
def check_health_gates() -> None:
    """Ask what the health gates of active rollouts ask, where it is due."""
    services.check_due_gates()
