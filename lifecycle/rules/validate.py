"""Checks of a policy that explain: what cannot work, what could break a cluster. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from lifecycle.rules.amounts import Amount
from lifecycle.rules.budget import quorum_of
from lifecycle.rules.order import ORDERS
from lifecycle.rules.selector import SELECTOR_KEYS
from lifecycle.rules.states import STRATEGIES
from lifecycle.rules.windows import DAYS, LONGEST_MINUTES

MAX_SECONDS = 30 * 24 * 3600
MAX_STAGES = 20
MAX_NAMES = 10_000
LEVELS = ("site", "row", "rack", "chassis")
STARTS = ("auto", "manual")
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9-]{0,39}")
_TIME = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]")
Problems = dict[str, str]


@dataclass(frozen=True, slots=True)
class Fleet:
    """What a policy's selector selects: `control_plane` members of the cluster's `size`, and
    `others`. `roles` are those (and profiles) that exist."""

    size: int
    control_plane: int = 0
    others: int = 0
    roles: frozenset[str] = frozenset()


def check_policy(policy: Mapping[str, Any], fleet: Fleet) -> Problems:
    """What is wrong with a policy, by field; empty when it can be kept.

    `policy` has every field with a value of the right basic type.
    """
    problems: Problems = {}
    problems |= _check_words(policy)
    problems |= _check_amounts(policy)
    problems |= _check_seconds(policy)
    problems |= check_selector(policy["selector"], fleet.roles)
    problems |= check_windows(policy["windows"])
    problems |= check_stages(policy["stages"])
    return problems or _check_control_plane(policy, fleet)


def _check_words(policy: Mapping[str, Any]) -> Problems:
    problems: Problems = {}
    if not _NAME.fullmatch(policy["name"]) or policy["name"] == "default":
        problems["name"] = (
            "1 to 40 letters, digits and dashes (it names the FleetLock group), and not `default`"
        )
    for field, words in (
        ("strategy", STRATEGIES),
        ("order", ORDERS),
        ("domain_level", LEVELS),
        ("starts", STARTS),
    ):
        if policy[field] not in words:
            problems[field] = f"one of {', '.join(words)}"
    return problems


def _check_amounts(policy: Mapping[str, Any]) -> Problems:
    problems: Problems = {}
    for field in ("max_unavailable", "max_unavailable_per_domain", "failure_threshold"):
        if not policy[field] and field == "max_unavailable_per_domain":
            continue
        try:
            amount = Amount.read(policy[field])
        except ValueError as error:
            problems[field] = str(error)
            continue
        if not amount.number:
            problems[field] = "at least 1: with 0 nothing ever moves (a freeze stops a rollout)"
    for field in ("max_domains", "canary_count"):
        if not 0 <= policy[field] <= MAX_NAMES:
            problems[field] = f"0 to {MAX_NAMES}"
    return problems


def _check_seconds(policy: Mapping[str, Any]) -> Problems:
    fields = (
        ("canary_soak_seconds", 0),
        ("return_seconds", 60),
        ("settle_seconds", 0),
        ("silent_seconds", 120),
        ("gate_seconds", 0),
    )
    return {
        field: f"{least} to {MAX_SECONDS} seconds"
        for field, least in fields
        if not least <= policy[field] <= MAX_SECONDS
    }


def check_selector(selector: object, roles: frozenset[str] = frozenset()) -> Problems:
    """What is wrong with a selector, by field; without `roles` any word is one."""
    if not isinstance(selector, Mapping):
        return {"selector": 'an object is expected: {"roles": […], "labels": {…}, "machines": […]}'}
    unknown = sorted(set(selector) - set(SELECTOR_KEYS))
    if unknown:
        return {"selector": f"unknown: {', '.join(unknown)}; known: {', '.join(SELECTOR_KEYS)}"}
    problems: Problems = {}
    for key in ("roles", "machines"):
        names = selector.get(key, [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            problems[f"selector.{key}"] = "a list of texts is expected"
        elif len(names) > MAX_NAMES:
            problems[f"selector.{key}"] = f"at most {MAX_NAMES}"
        elif key == "roles" and roles and not set(names) <= roles:
            known = ", ".join(sorted(roles))
            problems["selector.roles"] = f"{', '.join(sorted(set(names) - roles))}: not of {known}"
    labels = selector.get("labels", {})
    if not isinstance(labels, Mapping) or not all(
        isinstance(part, str) for pair in labels.items() for part in pair
    ):
        problems["selector.labels"] = "an object of text to text is expected"
    return problems


def check_windows(windows: object) -> Problems:
    """What is wrong with the maintenance windows, by field."""
    if not isinstance(windows, list):
        return {"windows": "a list is expected"}
    problems: Problems = {}
    for number, window in enumerate(windows):
        for key, reason in _check_window(window).items():
            problems[f"windows.{number}.{key}"] = reason
    return problems


def _check_window(window: object) -> Problems:
    if not isinstance(window, Mapping):
        return {"": "an object is expected"}
    problems: Problems = {}
    unknown = sorted(set(window) - {"days", "start", "minutes", "time_zone"})
    if unknown:
        problems[unknown[0]] = "unknown; known: days, start, minutes, time_zone"
    days = window.get("days")
    if not isinstance(days, list) or not days or not all(day in DAYS for day in days):
        problems["days"] = f"a list of {', '.join(DAYS)}"
    if not isinstance(window.get("start"), str) or not _TIME.fullmatch(window["start"]):
        problems["start"] = "a local time like 22:30"
    minutes = window.get("minutes")
    if type(minutes) is not int or not 1 <= minutes <= LONGEST_MINUTES:
        problems["minutes"] = f"1 to {LONGEST_MINUTES}"
    zone = window.get("time_zone", "UTC")
    try:
        ZoneInfo(zone if isinstance(zone, str) else "")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        problems["time_zone"] = "a name of the time zone database, like Europe/Paris"
    return problems


def check_stages(stages: object) -> Problems:
    """What is wrong with the stages, by field."""
    if not isinstance(stages, list) or len(stages) > MAX_STAGES:
        return {"stages": f"a list of at most {MAX_STAGES} is expected"}
    problems: Problems = {}
    for number, stage in enumerate(stages):
        for key, reason in _check_stage(stage).items():
            problems[f"stages.{number}.{key}"] = reason
    return problems or _check_growth(stages)


def _check_stage(stage: object) -> Problems:
    if not isinstance(stage, Mapping):
        return {"": "an object is expected"}
    problems: Problems = {}
    unknown = sorted(set(stage) - {"up_to", "soak_seconds", "needs_confirmation"})
    if unknown:
        problems[unknown[0]] = "unknown; known: up_to, soak_seconds, needs_confirmation"
    try:
        if not Amount.read(str(stage.get("up_to", ""))).number:
            problems["up_to"] = "at least 1"
    except ValueError as error:
        problems["up_to"] = str(error)
    soak = stage.get("soak_seconds", 0)
    if type(soak) is not int or not 0 <= soak <= MAX_SECONDS:
        problems["soak_seconds"] = f"0 to {MAX_SECONDS} seconds"
    if not isinstance(stage.get("needs_confirmation", False), bool):
        problems["needs_confirmation"] = "true or false"
    return problems


def _check_growth(stages: Sequence[Mapping[str, Any]]) -> Problems:
    """Stages of one kind must grow; a count and a per cent cannot be compared without a fleet."""
    for is_percent in (False, True):
        amounts = [Amount.read(str(stage["up_to"])) for stage in stages]
        numbers = [amount.number for amount in amounts if amount.is_percent is is_percent]
        if numbers != sorted(set(numbers)):
            return {"stages": "each stage must reach further than the one before"}
    return {}


def _check_control_plane(policy: Mapping[str, Any], fleet: Fleet) -> Problems:
    """A policy that could break etcd's quorum, or take a lone control plane down unasked."""
    if not fleet.control_plane or not policy["is_enabled"] or policy["strategy"] == "none":
        return {}
    if fleet.size == 1 and not policy["accepts_downtime"]:
        return {
            "accepts_downtime": "it selects a control plane of one machine, which is down while "
            "that machine restarts: say that this is accepted, or leave it out of the selector"
        }
    most = Amount.read(policy["max_unavailable"]).of(fleet.control_plane + fleet.others)
    spare = fleet.size - quorum_of(fleet.size)
    if fleet.others or fleet.size == 1 or most <= max(1, spare):
        return {}
    return {
        "max_unavailable": f"it selects only the control plane, and {policy['max_unavailable']} "
        f"lets {most} of it be away: {max(0, fleet.size - most)} of {fleet.size} members would be "
        f"left, and etcd's quorum needs {quorum_of(fleet.size)}"
    }


def advise(policy: Mapping[str, Any], fleet: Fleet) -> list[str]:
    """What an operator should know about a policy that can be kept, in whole sentences."""
    advice = []
    if not fleet.control_plane + fleet.others:
        advice.append("It selects no machine at present.")
    if fleet.control_plane and fleet.others:
        advice.append(
            "It selects workers and the control plane; members of the control plane change one at "
            "a time, whatever max_unavailable says."
        )
    if fleet.control_plane and fleet.size == 1 and policy["accepts_downtime"]:
        advice.append("The control plane is down while its one machine restarts; that is accepted.")
    if policy["strategy"] == "none":
        advice.append("No machine is restarted: the new config applies at each one's next start.")
    if policy["max_unavailable"].endswith("%") and fleet.others + fleet.control_plane:
        total = fleet.others + fleet.control_plane
        most = Amount.read(policy["max_unavailable"]).of(total)
        advice.append(f"{policy['max_unavailable']} of {total} machines are {most} at present.")
    return advice
