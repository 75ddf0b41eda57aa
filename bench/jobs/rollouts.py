"""A rollout over a fleet that runs: what its steps ask of the database, and whom it lets go."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from bench.documents import BODIES, make_document
from bench.jobs.counting import Cost, measure
from bench.jobs.fleets import settle_database
from lifecycle.fleetlock import ClientIdentity
from lifecycle.models import RollingPolicy, Rollout, RolloutMachine
from lifecycle.services import advance_cluster, apply_policy, holder_id, lock_slot, read_leave
from machines.models import Machine
from matchbox_sync.models import DesiredConfig, MachineConfig, Revision
from scheduling.services import default_cluster

PER_CENT = 10
"""How many machines are let go at once: the larger the fleet, the more of them ask for leave."""
_CHUNK = 500
_TURNS, _LEAVES_A_TURN = 5, 10


def roll() -> dict[str, Any]:
    """A policy for the workers, a new revision, and the steps that follow.

    Returns the cost of each step and of what one machine asks for, MACs and UUIDs of machines that
    wait, and of those that were let go and that hold a slot, each with its lock.
    """
    cluster, now = default_cluster(), timezone.now()
    _make_policy()
    advance_cluster(cluster=cluster, now=now)
    _revise()
    steps = {}
    for name in ("made", "idle", "idle again"):
        with measure() as cost:
            advance_cluster(cluster=cluster, now=now)
        steps[name] = _noted(cost)
    settle_database()  # it has done so long before the first machines are back
    asked = {"slot": _let_half_begin(now), "leave": _ask_for_leave()}
    with measure() as cost:
        advance_cluster(cluster=cluster, now=now + timedelta(seconds=5))
    steps["half done"] = _noted(cost)
    rollout = Rollout.objects.get(policy=RollingPolicy.objects.get())
    return {
        "steps": steps,
        "asked": asked,
        "machines": rollout.machines.count(),
        "let go": [_lock(place.machine) for place in _places(rollout, "open", "updating")],
        "held": [_lock(place.machine) for place in _places(rollout, "updating")],
        "waiting": [
            [place.machine.boot_mac, place.machine.uuid] for place in _places(rollout, "waiting")
        ],
    }


def _noted(cost: Cost) -> dict[str, Any]:
    return {"queries": cost.queries, "seconds": cost.seconds, "writes": cost.writes}


def _places(rollout: Rollout, *states: str) -> list[RolloutMachine]:
    rows = rollout.machines.filter(state__in=states).select_related("machine")
    return list(rows.order_by("position"))


def _make_policy() -> None:
    document = {
        "name": "bench",
        "selector": {"roles": ["kubernetes-node"]},
        "max_unavailable": f"{PER_CENT}%",
        "settle_seconds": 0,
        "silent_seconds": 86400,
    }
    apply_policy(document=document, actor="bench")


def _revise() -> None:
    """A further revision with another document for everybody, held back as a policy says."""
    before = Revision.objects.get(number=1)
    now = timezone.now()
    revision = Revision.objects.create(
        cluster=before.cluster, number=2, fingerprint="bench-2", cause="bench", created_at=now
    )
    digests = [hashlib.sha512(make_document(number)).hexdigest() for number in range(BODIES)]
    following = dict(zip(digests, [*digests[1:], digests[0]], strict=True))
    old = list(MachineConfig.objects.filter(revision=before))
    for start in range(0, len(old), _CHUNK):
        made = MachineConfig.objects.bulk_create(
            MachineConfig(
                machine_id=one.machine_id,
                revision=revision,
                version_id=one.version_id,
                fingerprint=f"bench-2-{one.machine_id}",
                mac=one.mac,
                document_id=following[one.document_id],
                canonical_sha512=f"{10**9 + one.machine_id:0128x}",
                metadata_zstd=one.metadata_zstd,
            )
            for one in old[start : start + _CHUNK]
        )
        rows = [DesiredConfig(machine_id=one.machine_id, newest=one) for one in made]
        DesiredConfig.objects.bulk_update(rows, ["newest"])
    Revision.objects.filter(pk=revision.pk).update(completed_at=now)


def _let_half_begin(now: datetime) -> dict[str, Any]:
    """Half of the open machines take their slot and are away; the cost of the last ones."""
    places = _places(Rollout.objects.get(), "open")
    turns = _turns([place.machine for place in places[: len(places) // 2]])
    return _cost_of(turns, lambda machine: _take_slot(machine, now))


def _take_slot(machine: Machine, now: datetime) -> None:
    lock = _lock(machine)
    lock_slot(identity=ClientIdentity(lock["id"], lock["group"]), now=now)


def _ask_for_leave() -> dict[str, Any]:
    """What it costs to let machines go that are open."""
    machines = [place.machine for place in _places(Rollout.objects.get(), "open")]
    read_leave(machine=machines[0])  # the first one builds what is kept
    return _cost_of(_turns(machines), lambda machine: read_leave(machine=machine))


def _turns(machines: list[Machine]) -> list[list[Machine]]:
    """Equal parts, the last of them as long as is measured."""
    length = min(_LEAVES_A_TURN, max(1, len(machines) // _TURNS))
    return [machines[start : start + length] for start in range(0, len(machines), length)]


def _cost_of(turns: list[list[Machine]], ask: Callable[[Machine], object]) -> dict[str, Any]:
    """Statements of one question, and seconds of one in each of the last turns."""
    seconds, queries = [], 0.0
    for machines in turns:
        with measure() as cost:
            for machine in machines:
                ask(machine)
        seconds.append(cost.seconds / len(machines))
        queries = cost.queries / len(machines)
    return {"queries": queries, "seconds": seconds[-_TURNS:]}


def _lock(machine: Machine) -> dict[str, str]:
    return {
        "mac": machine.boot_mac,
        "uuid": machine.uuid,
        "id": holder_id(machine),
        "group": RollingPolicy.objects.get().name,
    }
