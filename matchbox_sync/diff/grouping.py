"""Machines with the identical change, whatever their own values are. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from matchbox_sync.diff.compare import Change, Diff
from matchbox_sync.diff.entries import flatten

_OWN_KEYS = (
    "network.ip",
    "network.cidrv4",
    "fqdn",
    "hostname",
    "uuid",
    "boot_mac",
    "pod.cidr",
    "network.subnet",
    "network.gateway",
    "kubernetes_node_name",
    "cni",
)
"""Metadata that differs between machines of a role. Of equal values the first name counts."""

_MIN_LENGTH = 5
"""Shorter ones (`3`, `r1`) would be found in texts that do not speak of the machine."""


@dataclass(frozen=True, slots=True)
class Keyed:
    """The two keys of one machine's change: as it is, and with its own values taken out."""

    exact: str
    own: str


def own_values(*metadata: Mapping[str, Any]) -> dict[str, str]:
    """A machine's own values and the names that stand for them, before and after a change."""
    values: dict[str, str] = {}
    for document in metadata:
        flat = flatten(document)
        for name in _OWN_KEYS:
            for value in _spellings(name, flat.get(name)):
                if len(value) >= _MIN_LENGTH:
                    values.setdefault(value, f"<{name}>")
    return values


def _spellings(name: str, value: Any) -> Iterable[str]:
    if not isinstance(value, str):
        return
    yield value
    if name == "boot_mac":
        yield value.replace(":", "-")
    if name == "cni":
        yield from re.findall(r"\d+\.\d+\.\d+\.\d+", value)[:4]


def key_of(diff: Diff, own: Mapping[str, str]) -> Keyed:
    """The keys of a diff; equal ones mean the identical change."""
    document = [_essence(change) for change in diff.changes]
    return Keyed(_digest(document), _digest(_masked(document, _pattern(own), own)))


def group_changes(keys: Mapping[int, Keyed]) -> dict[str, list[int]]:
    """Machine ids by change, the largest group first.

    Exactly the same change first: a value of everybody's may happen to be one machine's own.
    Those who are alone with theirs are compared without their own values.
    """
    exact = Counter(keyed.exact for keyed in keys.values())
    groups: dict[str, list[int]] = {}
    for machine_id in sorted(keys):
        keyed = keys[machine_id]
        key = keyed.exact if exact[keyed.exact] > 1 else keyed.own
        groups.setdefault(key, []).append(machine_id)
    return dict(sorted(groups.items(), key=lambda item: (-len(item[1]), item[1])))


def _essence(change: Change) -> list[Any]:
    """What makes a change this change: no context and no line numbers."""
    binary = change.binary
    return [
        change.kind,
        change.name,
        change.action,
        [[a.name, a.before, a.after] for a in change.attributes],
        list(change.text.hunks) if change.text else None,
        [binary.before, binary.after] if binary else None,
    ]


def _digest(document: Any) -> str:
    text = json.dumps(document, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _pattern(own: Mapping[str, str]) -> re.Pattern[str] | None:
    if not own:
        return None
    longest_first = sorted(own, key=len, reverse=True)
    words = "|".join(re.escape(value) for value in longest_first)
    return re.compile(rf"(?<![0-9A-Za-z])(?:{words})(?![0-9A-Za-z])")


def _masked(tree: Any, pattern: re.Pattern[str] | None, own: Mapping[str, str]) -> Any:
    if pattern is None:
        return tree
    if isinstance(tree, str):
        return pattern.sub(lambda found: own[found[0]], tree)
    if isinstance(tree, (list, tuple)):
        return [_masked(value, pattern, own) for value in tree]
    if isinstance(tree, dict):
        return {key: _masked(value, pattern, own) for key, value in tree.items()}
    return tree
