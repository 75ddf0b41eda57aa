"""Why nothing moves under a policy, whichever machine it is: freezes, windows, health gates."""

from __future__ import annotations

from datetime import datetime

from lifecycle.models import RollingPolicy
from lifecycle.rules.windows import is_open, next_opening
from lifecycle.services.freezes import freeze_reason
from lifecycle.services.gates import read_gates


def hold_reason(policy: RollingPolicy, now: datetime) -> str:
    """Why nothing moves under this policy, whatever its rollout says: a freeze or the window."""
    frozen = freeze_reason(cluster_id=policy.cluster_id, policy_id=policy.pk, now=now)
    return frozen or window_reason(policy, now)


def window_reason(policy: RollingPolicy, now: datetime) -> str:
    """Why no window lets anything move now; "" when one does, or there is none."""
    windows = policy.parsed_windows
    if is_open(windows, now):
        return ""
    opening = next_opening(windows, now)
    when = f"{opening:%Y-%m-%d %H:%M} UTC" if opening else "an unknown time"
    return f"the maintenance window is closed; the next one opens at {when}"


def gates_reason(policy_id: int, now: datetime) -> str:
    """Why no health gate lets anything move; "" when all are healthy, or there is none."""
    bad = [gate for gate in read_gates([policy_id], now).get(policy_id, []) if not gate.is_healthy]
    if not bad:
        return ""
    more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
    return f"the health gate {bad[0].name} fails: {bad[0].message}{more}"
