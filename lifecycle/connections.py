"""What lifecycle says to the apps below: who is held back, in maintenance, must not reinstall."""

from __future__ import annotations

from lifecycle.maintained import is_muted, maintenance_reasons, maintenance_refusal
from lifecycle.services.advising import plan_advice
from lifecycle.services.members import reinstall_harm
from lifecycle.services.release import released_machines, why_approval
from lifecycle.services.replacement import replacement_refusal
from lifecycle.services.strategies import add_refusal
from machines.services import add_mute, add_reinstall_objection
from matchbox_sync.advice import set_advisor
from matchbox_sync.services import set_approval_rule, set_release_policy
from scheduling.services import add_kept_back


def connect() -> None:
    """Called once, when the app is ready; again changes nothing."""
    add_mute(is_muted)
    add_reinstall_objection(reinstall_harm)
    add_kept_back(maintenance_reasons)
    add_refusal(maintenance_refusal)
    add_refusal(replacement_refusal)
    set_release_policy(released_machines)
    set_approval_rule(why_approval)
    set_advisor(plan_advice)
