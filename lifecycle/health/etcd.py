"""The kind etcd: more than half of the voting members are healthy, with one leader, no alarm.

Asked by the JSON gateway that each member serves beside gRPC (etcd 3.4 and later):
https://etcd.io/docs/v3.5/dev-guide/api_grpc_gateway/
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from lifecycle.health.asking import Ask, CheckFailed, Config, Result
from lifecycle.health.fields import TLS, Shape, key_with_certificate, urls, whole
from lifecycle.health.files import tls_context
from lifecycle.health.web import make_client, read_json, read_object, send
from machines.text import one_line

MAX_BODY_BYTES = 1024 * 1024
_PART = 0.8
"""Of the time of a check: what one endpoint gets, so that a dead one is not all that is said."""

SHAPE = Shape(
    {"endpoints": urls, "spare_members": whole(0, 10), **TLS},
    required=("endpoints",),
    together=key_with_certificate,
)


@dataclass(frozen=True, slots=True)
class Member:
    """One line of a cluster's member list."""

    id: str
    name: str
    is_learner: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """What one endpoint says; `problem` is why it does not count as healthy."""

    endpoint: str
    problem: str = ""
    member_id: str = ""
    cluster_id: str = ""
    leader: str = ""
    alarms: tuple[str, ...] = ()
    members: tuple[Member, ...] = field(default=())


async def check(config: Config, ask: Ask) -> Result:
    """Ask all endpoints at once, then judge what they say together."""
    endpoints: list[str] = [one.rstrip("/") for one in config["endpoints"]]
    is_tls = any(one.startswith("https:") for one in endpoints)
    async with make_client(tls_context(ask, config) if is_tls else None) as client:
        limit = ask.seconds * _PART
        seen = await asyncio.gather(*(_look(client, one, limit) for one in endpoints))
    return judge(seen, config.get("spare_members", 0))


async def _look(client: httpx.AsyncClient, endpoint: str, seconds: float) -> Seen:
    try:
        async with asyncio.timeout(seconds):
            return await _ask(client, endpoint)
    except TimeoutError:
        return Seen(endpoint, f"no answer within {seconds:g} s")
    except CheckFailed as error:
        return Seen(endpoint, str(error))


async def _ask(client: httpx.AsyncClient, endpoint: str) -> Seen:
    status = await _call(client, f"{endpoint}/v3/maintenance/status")
    members = await _call(client, f"{endpoint}/v3/cluster/member/list")
    header = _mapping(status.get("header"))
    errors = [str(error) for error in status.get("errors") or []]
    return Seen(
        endpoint=endpoint,
        problem=await _unhealthy(client, endpoint),
        member_id=str(header.get("member_id", "")),
        cluster_id=str(header.get("cluster_id", "")),
        leader=str(status.get("leader") or "0"),
        alarms=tuple(one_line(error, 100) for error in errors if "alarm:" in error),
        members=_members(members),
    )


async def _call(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    answer = await send(client, "POST", url, limit=MAX_BODY_BYTES, content=b"{}")
    return read_object(answer, url)


async def _unhealthy(client: httpx.AsyncClient, endpoint: str) -> str:
    """Why /health does not say `true`; it reads by consensus, so a member without quorum fails."""
    answer = await send(client, "GET", f"{endpoint}/health", limit=MAX_BODY_BYTES)
    said = _mapping(read_json(answer.body, f"{endpoint}/health"))
    if answer.status == 200 and str(said.get("health")).lower() == "true":
        return ""
    reason = one_line(str(said.get("reason") or f"status {answer.status}"), 150)
    return f"{endpoint} says that it is not healthy ({reason})"


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _members(document: dict[str, Any]) -> tuple[Member, ...]:
    rows = document.get("members")
    return tuple(
        Member(str(row.get("ID", "")), str(row.get("name", "")), bool(row.get("isLearner")))
        for row in map(_mapping, rows if isinstance(rows, list) else [])
    )


def judge(seen: Sequence[Seen], spare: int = 0) -> Result:
    """Whether the cluster behind the endpoints is well, and would be with `spare` members less."""
    answers = [one for one in seen if one.member_id]
    if not answers:
        raise CheckFailed(f"no endpoint answers: {seen[0].problem}")
    if len({one.cluster_id for one in answers}) > 1:
        raise CheckFailed("the endpoints belong to different clusters")
    alarms = sorted({alarm for one in answers for alarm in one.alarms})
    if alarms:
        raise CheckFailed(f"alarm: {', '.join(alarms)}")
    voters = {member.id: member for member in _member_list(answers) if not member.is_learner}
    healthy = {one.member_id: one for one in answers if not one.problem and one.member_id in voters}
    quorum = len(voters) // 2 + 1
    left = f"{len(healthy)} of {len(voters)} members are healthy"
    if len(healthy) - spare < quorum:
        needed = f"{quorum} are the quorum" + (f", and {spare} to spare" if spare else "")
        raise CheckFailed(f"{left}, {needed}{_first_problem(seen)}")
    leaders = {one.leader for one in healthy.values()}
    if len(leaders) != 1 or not leaders <= set(voters):
        raise CheckFailed(f"{left}, but they have no leader that all agree on")
    leader = voters[leaders.pop()]
    return Result(True, f"{left}, led by {one_line(leader.name, 60)}{_first_problem(seen)}")


def _member_list(answers: Sequence[Seen]) -> tuple[Member, ...]:
    """The leader's own list; a member that lags may not know of a change yet."""
    best = next((one for one in answers if one.leader == one.member_id and one.members), None)
    best = best or max(answers, key=lambda one: len(one.members))
    if not best.members:
        raise CheckFailed(f"{best.endpoint} has an empty member list")
    return best.members


def _first_problem(seen: Sequence[Seen]) -> str:
    problems = [one.problem for one in seen if one.problem]
    return f"; {problems[0]}" if problems else ""
