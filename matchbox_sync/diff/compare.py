"""Comparing two configs entry by entry. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from matchbox_sync.diff.entries import KINDS, Entry, Key, Raw, Value, raw_entries
from matchbox_sync.diff.text import TextDiff, diff_texts, read_text
from matchbox_sync.ignition import IgnitionError

ADDED, REMOVED, CHANGED = "added", "removed", "changed"


@dataclass(frozen=True, slots=True)
class Side:
    """One config: the Ignition document, the boot part of its profile, the group's metadata."""

    document: bytes
    boot: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute that differs; None: it is not there."""

    name: str
    before: Value | None
    after: Value | None


@dataclass(frozen=True, slots=True)
class Binary:
    """Contents that are no text: (bytes, SHA-256) of both; None: there are none."""

    before: tuple[int, str] | None
    after: tuple[int, str] | None


@dataclass(frozen=True, slots=True)
class Change:
    """One entry that was added, removed or changed."""

    kind: str
    name: str
    action: str
    attributes: tuple[Attribute, ...] = ()
    text: TextDiff | None = None
    binary: Binary | None = None


@dataclass(frozen=True, slots=True)
class Diff:
    """All that differs; two documents that only say the same in other bytes differ in nothing."""

    changes: tuple[Change, ...] = ()

    @property
    def is_empty(self) -> bool:
        """True when a machine would not notice."""
        return not self.changes

    @property
    def summary(self) -> str:
        """In a few words: `2 files changed, 1 unit added`."""
        counts: dict[tuple[str, str], int] = {}
        for change in self.changes:
            counts[change.kind, change.action] = counts.get((change.kind, change.action), 0) + 1
        return ", ".join(
            f"{number} {_words(kind, number)} {action}" for (kind, action), number in counts.items()
        )


def _words(kind: str, number: int) -> str:
    if kind == "directory" and number != 1:
        return "directories"
    noun = {"kernel": "kernel setting", "network": "network file", "metadata": "metadata value"}
    word = noun.get(kind, "other setting" if kind == "other" else kind)
    return word if number == 1 else f"{word}s"


def compare(before: Side | None, after: Side | None) -> Diff:
    """What differs; None is a machine without a config. Raises IgnitionError for no document."""
    try:
        return _diff(_entries(before), _entries(after))
    except IgnitionError:
        raise
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise IgnitionError(f"no Ignition document: {error!r}") from error


def _entries(side: Side | None) -> dict[Key, Raw]:
    return raw_entries(json.loads(side.document), side.boot, side.metadata) if side else {}


def _diff(old: Mapping[Key, Raw], new: Mapping[Key, Raw]) -> Diff:
    keys = sorted(old.keys() | new.keys(), key=lambda key: (KINDS.index(key[0]), key[1]))
    changes = (_compare(key, old.get(key), new.get(key)) for key in keys)
    return Diff(tuple(change for change in changes if change is not None))


def _compare(key: Key, old: Raw | None, new: Raw | None) -> Change | None:
    if old is not None and new is not None and old.document == new.document:
        return None  # most entries; nothing is decoded for them
    before, after = (raw.read() if raw else Entry() for raw in (old, new))
    action = ADDED if old is None else REMOVED if new is None else CHANGED
    attributes = tuple(_attributes(before.attributes, after.attributes))
    text, binary = _contents(before.content, after.content)
    if action == CHANGED and not attributes and text is None and binary is None:
        return None
    return Change(*key, action, attributes, text, binary)


def _attributes(old: Mapping[str, Value], new: Mapping[str, Value]) -> Iterable[Attribute]:
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        # True == 1 in Python, but not in a document.
        if before != after or type(before) is not type(after):
            yield Attribute(name, before, after)


def _contents(old: bytes | None, new: bytes | None) -> tuple[TextDiff | None, Binary | None]:
    if old == new:
        return None, None
    before, after = read_text(old), read_text(new)
    if before is not None and after is not None and before != after:
        return diff_texts(before, after), None
    return None, Binary(_digest(old), _digest(new))


def _digest(content: bytes | None) -> tuple[int, str] | None:
    return None if content is None else (len(content), hashlib.sha256(content).hexdigest())
