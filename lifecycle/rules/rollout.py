"""A rollout as plain data: what `decide` looks at, and what it answers. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from lifecycle.rules.amounts import Amount
from lifecycle.rules.budget import ControlPlane, Limits, Member
from lifecycle.rules.order import CONTROL_PLANE_FIRST
from lifecycle.rules.stages import Stage
from lifecycle.rules.states import RUNNING, WAITING


@dataclass(frozen=True, slots=True)
class Rules:
    """Of the policy, what a step of its rollout needs. Durations are of elapsed time."""

    limits: Limits
    failure_threshold: Amount
    return_time: timedelta
    settle_time: timedelta
    gate_patience: timedelta
    """How long a gate may fail before the rollout pauses; zero: for ever."""
    has_slots: bool = True
    """False when another server holds the slots: then only reports tell who is away."""


@dataclass(frozen=True, slots=True)
class Row:
    """One machine's place in the rollout, as it is stored."""

    machine_id: int
    position: int
    stage: int
    wave: int = 0
    state: str = WAITING
    reason: str = ""
    opened_at: datetime | None = None
    updating_at: datetime | None = None
    returned_at: datetime | None = None
    ready_at: datetime | None = None
    deadline_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Machine:
    """What is known of a machine with an unfinished place.

    `why_away`: why it is unavailable, its own place in this rollout apart; "" when it is not.
    `why_not`: why it cannot change now, whatever the limits say (also each reason to be away).
    `is_current`: its newest report says that it runs its desired config. `problem`: what its agent
    says went wrong since it was let go.
    """

    member: Member
    name: str
    is_member: bool = True
    is_in_service: bool = True
    why_away: str = ""
    why_not: str = ""
    is_current: bool = False
    reported_at: datetime | None = None
    has_slot: bool = False
    is_slot_lost: bool = False
    may_be_off: bool = False
    install_failed: bool = False
    problem: str = ""
    is_applied_by_itself: bool = False
    """Its strategy is `none`: it gets the config and nobody restarts it."""


@dataclass(frozen=True, slots=True)
class FinishedStage:
    """Of the finished machines of one stage: how many, and when the last one was done."""

    number: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that a step of one rollout depends on, read at one moment.

    `rows` are the unfinished and the failed places in their order; `machines` has an entry for
    each of them. `away` are the members of the policy that are unavailable, those that are only
    opened by this rollout left out. `hold` is why nothing may move now (a freeze, a closed window),
    `gates` why no gate lets anything move; "" when they do. `peers` is why machines of the control
    plane (True) or others (False) must wait for another policy's rollout.
    """

    now: datetime
    state: str
    reason: str
    rules: Rules
    stages: Sequence[Stage]
    stage: int
    confirmed_stage: int
    order: str
    row_count: int
    rows: Sequence[Row]
    machines: Mapping[int, Machine]
    finished: Mapping[int, FinishedStage]
    total: int
    domain_sizes: Mapping[str, int]
    away: Mapping[int, Member]
    control_plane: ControlPlane
    hold: str = ""
    gates: str = ""
    gates_failing_since: datetime | None = None
    peers: Mapping[bool, str] = field(default_factory=dict)

    @property
    def is_strict(self) -> bool:
        """True when machines that cannot change hold up those that wait for them: a kubelet must
        not become newer than any API server, also not than one that is away."""
        return self.order == CONTROL_PLANE_FIRST


@dataclass(slots=True)
class Decision:
    """What a step changes. `rows` are those whose fields change.

    `to_open`: the machines whose desired config becomes the rollout's; `to_close`: those whose
    desired config goes back to what it was; `lost`: those whose slot is to be marked as lost.
    `hold`: why nothing moves now; `stage_hold`: why the next stage does not begin; `refused`: why
    not these machines. `failures`: who failed just now, and how.
    """

    state: str
    reason: str
    stage: int
    hold: str = ""
    stage_hold: str = ""
    gates_failing_since: datetime | None = None
    rows: dict[int, Row] = field(default_factory=dict)
    to_open: list[int] = field(default_factory=list)
    to_close: list[int] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    @property
    def may_move(self) -> bool:
        """True when machines that are open may go on to change."""
        return self.state == RUNNING and not self.hold
