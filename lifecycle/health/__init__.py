"""Checks of health gates: what is asked of etcd, Kubernetes, a URL, Prometheus or a command.

Nothing here knows the database. Each check is bounded in time and in what it reads.
"""

from lifecycle.health.asking import Ask, ExpectedNode, Result
from lifecycle.health.kinds import check_config, check_health

__all__ = ["Ask", "ExpectedNode", "Result", "check_config", "check_health"]
