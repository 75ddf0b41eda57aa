"""Documents of placement: overview, loss, rules, swap plans, for the API and `--json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from scheduling.overview import Loss, Member, Overview
from scheduling.requirements import Requirements
from scheduling.services import SwapPlan
from scheduling.spread import LevelSpread

SHOWN_SPARES = 10


def overview_document(overview: Overview) -> dict[str, Any]:
    """A cluster's placement."""
    return {
        "cluster": overview.cluster.name,
        "level": overview.cluster.spread_level,
        "score": overview.score,
        "spread": spread_document(overview.spread),
        "control_plane": [_member(one) for one in overview.members],
        "nodes": overview.node_count,
        "nodes_by_domain": dict(overview.nodes_by_domain),
        "spares": [_member(one) for one in overview.spares],
        "spares_wanted": overview.spares_wanted,
        "waiting": dict(overview.waiting),
        "rules": rules_document(overview.requirements),
    }


def loss_document(loss: Loss) -> dict[str, Any]:
    """What the failure of a domain takes away."""
    return {
        "domain": loss.domain,
        "control_plane_lost": [_member(one) for one in loss.members_lost],
        "control_plane_left": loss.members_left,
        "quorum": loss.quorum,
        "quorum_survives": loss.quorum_survives,
        "nodes_lost": loss.nodes_lost,
        "nodes_left": loss.nodes_left,
        "spares_lost": loss.spares_lost,
    }


def rules_document(requirements: Mapping[str, Requirements]) -> dict[str, Any]:
    """What each role asks for."""
    return {role: asdict(wanted) for role, wanted in requirements.items()}


def swap_document(plan: SwapPlan) -> dict[str, Any]:
    """Who could take a member's place, the best first; at most ten."""
    return {
        "level": plan.level,
        "score_before": plan.score_before,
        "spares": [
            {
                "mac": one.mac,
                "domain": one.domain,
                "score_after": one.score,
                "is_kept_as_spare": one.is_kept,
            }
            for one in plan.spares[:SHOWN_SPARES]
        ],
        "spares_found": len(plan.spares),
        "lack": plan.lack,
    }


def spread_document(spread: Sequence[LevelSpread]) -> dict[str, Any]:
    """How well members are spread, by level."""
    return {
        one.level: {
            "score": one.score,
            "domains": dict(one.domains),
            "largest_loss": one.largest,
            "quorum_survives": one.quorum_survives,
        }
        for one in spread
    }


def _member(member: Member) -> dict[str, Any]:
    return {"mac": member.mac, "name": member.name, **asdict(member.place)}
