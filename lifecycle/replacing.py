"""When a control-plane member may be replaced, and whether its successor is there. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from scheduling.spread import quorum_of

SILENT_AFTER = timedelta(minutes=10)
"""A member that has not reported for so long counts as away; machines report each minute."""


@dataclass(frozen=True, slots=True)
class MemberFacts:
    """What the engine knows of one member of a control plane."""

    machine_id: int
    mac: str
    is_installed: bool = False
    reported_at: datetime | None = None
    is_in_maintenance: bool = False
    holds_slot: bool = False
    is_updating: bool = False
    """In a rollout, also after it gave its slot back, until a report confirms it."""
    has_failed: bool = False
    """In a rollout that did not end yet."""

    def absence(self, now: datetime) -> str:
        """Why the member cannot be counted on; "" when it can."""
        if not self.is_installed:
            return "is not installed"
        if self.reported_at is None:
            return "never reported"
        # A report from the future, which a clock that stepped back leaves, says nothing of now.
        if abs(now - self.reported_at) > SILENT_AFTER:
            return f"is silent since {self.reported_at:%Y-%m-%d %H:%M:%S} UTC"
        if self.holds_slot:
            return "holds an update slot"
        if self.is_updating:
            return "is updating"
        if self.has_failed:
            return "failed in a rollout"
        return "is in maintenance" if self.is_in_maintenance else ""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Why a replacement must not go on, and what an operator should know before it does."""

    obstacles: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def obstacle(self) -> str:
        """All obstacles in one sentence; "" without any."""
        return "; ".join(self.obstacles)


def others_left(
    members: Sequence[MemberFacts], leaving: Collection[int], now: datetime
) -> tuple[int, int]:
    """(members that can be counted on without those in `leaving`, the quorum of all)."""
    staying = [one for one in members if one.machine_id not in leaving]
    return sum(not one.absence(now) for one in staying), quorum_of(len(members))


def judge_replacement(members: Sequence[MemberFacts], leaving_id: int, now: datetime) -> Judgement:
    """May the member `leaving_id` be taken out of the control plane that `members` are?

    The preconditions are those that other control planes settled on: more than one member, a
    quorum without the one that goes, nobody else changing.
    """
    leaving = next((one for one in members if one.machine_id == leaving_id), None)
    if leaving is None:
        # Somebody was faster: between two reads another worker may have changed the members.
        return Judgement(("it is no member of the control plane any more",))
    if len(members) < 2:
        return Judgement(
            ("the control plane has one member: with it its data would be gone; restore a backup",)
        )
    obstacles = []
    left, quorum = others_left(members, {leaving_id}, now)
    if left < quorum:
        away = "; ".join(
            f"{one.mac} {one.absence(now)}"
            for one in members
            if one.machine_id != leaving_id and one.absence(now)
        )
        obstacles.append(
            f"{left} of {len(members)} members would be left and a quorum needs {quorum}: {away}"
        )
    busy = [
        f"{one.mac} {one.absence(now)}"
        for one in members
        if one.machine_id != leaving_id and (one.holds_slot or one.is_updating)
    ]
    if busy and left >= quorum:
        obstacles.append(f"{'; '.join(busy)}: one member changes at a time")
    return Judgement(tuple(obstacles), _warnings(leaving, len(members), now))


def _warnings(leaving: MemberFacts, count: int, now: datetime) -> tuple[str, ...]:
    warnings = []
    if not leaving.absence(now):
        warnings.append("the member that goes still works: drain it and switch it off first")
    if leaving.holds_slot:
        warnings.append("the member that goes holds an update slot, which is freed at the end")
    if count % 2 == 0:
        warnings.append(f"the control plane has {count} members, an even number")
    return tuple(warnings)


@dataclass(frozen=True, slots=True)
class NewcomerFacts:
    """What the engine knows of the machine that took the place, since it has it."""

    mac: str
    is_installed: bool
    install_failed: bool
    install_stalled: bool
    waits_at_gate: bool
    reported_at: datetime | None
    is_up_to_date: bool


def why_not_installed(new: NewcomerFacts) -> str:
    """What the install of the new member waits for; "" when it is done."""
    if new.is_installed:
        return ""
    if new.install_failed:
        return f"the install of {new.mac} failed: repair it, or choose another spare"
    if new.install_stalled:
        return f"the install of {new.mac} fell silent: look at it, or choose another spare"
    if new.waits_at_gate:
        return f"{new.mac} waits at the install gate"
    return f"{new.mac} has not installed itself yet; is it switched on?"


def why_not_reporting(new: NewcomerFacts, installed_at: datetime, now: datetime) -> str:
    """What the first report of the new member waits for; "" when it runs its config.

    What it reported before it installed itself was said by the system of a former life. When the
    clock stepped back behind the install, the reports of the present count instead.
    """
    earliest, latest = installed_at, datetime.max.replace(tzinfo=UTC)
    if installed_at > now:
        earliest, latest = now - SILENT_AFTER, now
    if new.reported_at is None or not earliest <= new.reported_at <= latest:
        return f"{new.mac} is installed and has not reported yet"
    return "" if new.is_up_to_date else f"{new.mac} runs another config than it should"
