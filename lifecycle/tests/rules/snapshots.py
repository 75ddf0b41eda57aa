"""Snapshots of rollouts for tests of the rules, and an oracle that shares no code of theirs."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random

from hypothesis import strategies as st

from lifecycle.rules.amounts import Amount
from lifecycle.rules.budget import ControlPlane, Limits, Member
from lifecycle.rules.rollout import FinishedStage, Machine, Row, Rules, Snapshot
from lifecycle.rules.stages import Stage

NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
RULES = Rules(
    limits=Limits(Amount(1)),
    failure_threshold=Amount(1),
    return_time=timedelta(minutes=30),
    settle_time=timedelta(0),
    gate_patience=timedelta(minutes=15),
)


def machine(number, **changes):
    """A worker that is up, reports, and runs its old config."""
    member = changes.pop("member", None) or Member(
        number, changes.pop("domain", ""), changes.pop("is_control_plane", False)
    )
    return Machine(
        member=member,
        name=f"srv{number}",
        **({"reported_at": NOON - timedelta(seconds=30)} | changes),
    )


def snapshot(machines, rows=None, **changes):
    """A running rollout without stages over `machines`; `away` follows from what they are."""
    members = {one.member.machine_id: one for one in machines}
    rows = rows if rows is not None else [Row(pk, n, 0) for n, pk in enumerate(members)]
    rules = changes.pop("rules", RULES)
    sizes = Counter(one.member.domain for one in machines if one.is_in_service)
    plane = [one for one in machines if one.member.is_control_plane]
    opened = {row.machine_id for row in rows if row.state in ("open", "updating", "failed")}
    down = {pk for pk, one in members.items() if one.why_away}
    base = {
        "now": NOON,
        "state": "running",
        "reason": "",
        "rules": rules,
        "stages": [Stage(len(rows))],
        "stage": 0,
        "confirmed_stage": 0,
        "order": "any",
        "row_count": len(rows),
        "rows": rows,
        "machines": members,
        "finished": {},
        "total": sum(sizes.values()),
        "domain_sizes": sizes,
        "away": {pk: members[pk].member for pk in down if members[pk].is_in_service},
        "control_plane": ControlPlane(
            size=max(1, len(plane)),
            available=frozenset(
                one.member.machine_id for one in plane if one.member.machine_id not in down
            ),
            moving=frozenset(
                one.member.machine_id
                for one in plane
                if one.has_slot or (one.member.machine_id in opened and _state(rows, one) != "open")
            ),
        ),
    }
    return Snapshot(**(base | changes))


def _state(rows, one):
    return next(row.state for row in rows if row.machine_id == one.member.machine_id)


def after(seen, decision):
    """The rows as the decision leaves them, by machine."""
    return {row.machine_id: decision.rows.get(row.machine_id, row) for row in seen.rows}


def states_of(seen, decision):
    """State by machine, after the decision."""
    return {pk: row.state for pk, row in after(seen, decision).items()}


def unavailable_after(seen, decision):
    """Who counts as unavailable then, by the sentence of the documentation."""
    states = states_of(seen, decision)
    let_go = {pk for pk, state in states.items() if state in ("open", "updating", "failed")}
    mine = {pk for pk in let_go if seen.machines[pk].is_member}
    return set(seen.away) | mine


def breaks(limits, total, sizes, away):
    """What of `limits` the members `away` break; written down apart from the rules."""
    found = []
    most = limits.max_unavailable
    allowed = most.number if not most.is_percent else max(1, int(total * most.number / 100))
    if len(away) > allowed:
        found.append("max_unavailable")
    if limits.max_domains and len({m.domain or m.machine_id for m in away}) > limits.max_domains:
        found.append("max_domains")
    if limits.per_domain:
        for domain in {m.domain for m in away}:
            number = sum(1 for m in away if m.domain == domain)
            per = limits.per_domain
            room = (
                per.number if not per.is_percent else max(1, int(sizes[domain] * per.number / 100))
            )
            if number > room:
                found.append(f"max_unavailable_per_domain of {domain}")
    return found


def any_snapshot(seed):
    """Any snapshot that the services could read: also of rollouts in trouble.

    Made from a seed: hypothesis would need most of its time to draw the hundred details.
    """
    dice = Random(seed)
    rules = Rules(
        limits=_limits(dice),
        failure_threshold=_amount(dice),
        return_time=timedelta(minutes=30),
        settle_time=timedelta(seconds=dice.choice([0, 60])),
        gate_patience=timedelta(seconds=dice.choice([0, 900])),
    )
    count = dice.choice([1, 2, 3, 4, 6, 9, 12])
    bounds = sorted({*(dice.randint(1, count) for _ in range(dice.randint(0, 2))), count})
    stages = [
        Stage(up_to, dice.choice([0, 600]), dice.random() < 0.2, is_canary=number == 0)
        for number, up_to in enumerate(bounds)
    ]
    machines, rows, finished = [], [], {}
    trouble = dice.choice([0.0, 0.1, 0.3])
    for number in range(count):
        stage = next(n for n, entry in enumerate(stages) if number < entry.up_to)
        state = dice.choice(["waiting"] * 4 + ["open", "open", "updating", "failed", "done"])
        if state == "done":
            finished[stage] = FinishedStage(1, _moment(dice))
            continue
        machines.append(_machine(dice, number, state, trouble))
        rows.append(_row(dice, number, stage, state))
    return snapshot(
        machines,
        rows,
        rules=rules,
        stages=stages,
        finished=finished,
        row_count=count,
        state=dice.choice(["running"] * 4 + ["paused", "ready"]),
        hold=dice.choice([""] * 4 + ["the window is closed"]),
        gates=dice.choice([""] * 4 + ["gate etcd fails"]),
        stage=dice.randrange(len(stages)),
        confirmed_stage=dice.randint(0, len(stages)),
        order=dice.choice(["any", "workers-first", "control-plane-first"]),
    )


def _amount(dice):
    if dice.random() < 0.5:
        return Amount(dice.randint(1, 6))
    return Amount(dice.randint(1, 100), is_percent=True)


def _limits(dice):
    return Limits(
        max_unavailable=_amount(dice),
        per_domain=dice.choice([None, _amount(dice)]),
        max_domains=dice.choice([0, 1, 2]),
        accepts_downtime=dice.random() < 0.5,
    )


def _moment(dice):
    return NOON - timedelta(seconds=dice.randint(0, 4000))


def _machine(dice, number, state, trouble):
    has_slot = dice.random() < (0.5 if state not in ("waiting", "open") else trouble / 2)
    reason = "slot" if has_slot else "silent" if dice.random() < trouble else ""
    return machine(
        number,
        domain=dice.choice(["", "rack:1", "rack:2", "rack:3"]),
        is_control_plane=dice.random() < 0.25,
        is_member=dice.random() > trouble / 3,
        is_in_service=dice.random() > trouble / 3,
        is_current=dice.random() < 0.3,
        has_slot=has_slot,
        why_away=reason,
        why_not=reason or dice.choice([""] * 9 + ["blocked"]),
        install_failed=dice.random() < trouble / 3,
        is_applied_by_itself=dice.random() < 0.1,
        reported_at=dice.choice([None, _moment(dice)]),
    )


def _row(dice, number, stage, state):
    was_let_go = state != "waiting"
    return Row(
        number,
        number,
        stage,
        wave=dice.randint(0, 1),
        state=state,
        opened_at=_moment(dice) if was_let_go else None,
        updating_at=_moment(dice) if state == "updating" else None,
        returned_at=dice.choice([None, _moment(dice)]) if state == "updating" else None,
        deadline_at=dice.choice([None, NOON + timedelta(minutes=dice.randint(-30, 30))])
        if was_let_go
        else None,
        finished_at=_moment(dice) if state == "failed" else None,
    )


snapshots = st.integers(0, 2**40).map(any_snapshot)
