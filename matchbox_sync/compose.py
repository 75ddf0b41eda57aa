"""Compose a profile: snippets merged as data into one Butane template with Go marks. Pure."""

from __future__ import annotations

import hashlib
import json
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from matchbox_sync.marks import BRACE, Marked, dump_template, marks_in, skeleton
from matchbox_sync.metadata import MEMBERSHIP_KEYS, EngineFacts
from matchbox_sync.snippets import Component, ComposeError, Snippet, SnippetLibrary

__all__ = ["BootPart", "ComposeError", "ComposedProfile", "compose_profile", "restore_profile"]

_IDENTITY = {
    "storage.files": "path",
    "storage.directories": "path",
    "storage.links": "path",
    "storage.trees": "path",
    "storage.filesystems": "device",
    "storage.disks": "device",
    "storage.luks": "name",
    "storage.raid": "name",
    "systemd.units": "name",
    "passwd.users": "name",
    "passwd.groups": "name",
}
"""What each entry of a list defines: two snippets must not define the same thing."""

_NODES = ("storage.files", "storage.directories", "storage.links", "storage.trees")


@dataclass(frozen=True, slots=True)
class BootPart:
    """What iPXE loads: a matchbox profile's `boot` (its `cmdline` map is ignored since v0.9)."""

    kernel: str
    initrd: tuple[str, ...]
    args: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        """As it stands in a matchbox profile."""
        return {"kernel": self.kernel, "initrd": list(self.initrd), "args": list(self.args)}


@dataclass(frozen=True, slots=True)
class ComposedProfile:
    """One profile's content: deterministic for the same snippets, values and engine facts.

    `marks` are the metadata keys that the template uses, dotted (`network.ip`).
    """

    name: str
    template: str
    boot: BootPart
    fingerprint: str
    paths: frozenset[str]
    units: frozenset[str]
    marks: frozenset[str] = frozenset()


def compose_profile(
    profile: str, *, values: Mapping[str, Any], engine: EngineFacts, snippets: SnippetLibrary
) -> ComposedProfile:
    """Compose `profile` from its components.

    Snippets see every cluster value by its name, and `api_uri`, `ssh_keys` and `profile`. Raises
    ComposeError, whose message begins with the profile and names the snippets concerned.
    """
    facts = {"api_uri": engine.api_uri, "ssh_keys": engine.ssh_keys, "profile": profile}
    try:
        context = {**values, **facts}
        _check_texts(context)
        chosen = _switched_on(snippets.components(profile), values)
        parts = [snippets.snippet(component.name, context) for component in chosen]
        return _composed(profile, parts)
    except ComposeError as error:
        raise ComposeError(f"{profile}: {error}") from error


def restore_profile(
    profile: str, *, template: str, boot: Mapping[str, Any], fingerprint: str
) -> ComposedProfile:
    """A profile from its kept template and boot part, equal to the one that was composed."""
    tree = skeleton(template, None)
    storage = tree.get("storage", {})
    return ComposedProfile(
        name=profile,
        template=template,
        boot=BootPart(boot["kernel"], tuple(boot["initrd"]), tuple(boot["args"])),
        fingerprint=fingerprint,
        paths=frozenset(
            entry["path"]
            for node in _NODES
            for entry in storage.get(node.removeprefix("storage."), [])
        ),
        units=frozenset(unit["name"] for unit in tree.get("systemd", {}).get("units", [])),
        marks=marks_in(template),
    )


def _composed(profile: str, parts: Iterable[Snippet]) -> ComposedProfile:
    parts = list(parts)
    butane = _Merged()
    boot = _Merged()
    for part in parts:
        butane.add(part.name, part.butane)
        boot.add(part.name, part.boot)
    document = {"variant": "flatcar", "version": "1.1.0", **butane.tree}
    template = dump_template(document)
    boot_part = _boot_part(boot.tree)
    content = f"{template}\n{json.dumps(boot_part.as_json())}"
    return ComposedProfile(
        name=profile,
        template=template,
        boot=boot_part,
        fingerprint=hashlib.sha256(content.encode()).hexdigest(),
        paths=frozenset(name for place, name in butane.owners if place == "path"),
        units=frozenset(name for place, name in butane.owners if place == "systemd.units"),
        marks=_marks_of(parts),
    )


def _switched_on(components: Iterable[Component], values: Mapping[str, Any]) -> Iterator[Component]:
    for component in components:
        if component.when and not isinstance(values.get(component.when), bool):
            raise ComposeError(f"snippet {component.name}: no such switch: {component.when}")
        if not component.when or values[component.when]:
            yield component


def _check_texts(tree: Any, where: str = "") -> None:
    """Values never hold what cannot be written as UTF-8, nor the character reserved for marks."""
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            _check_texts(value, where or str(key))
    elif isinstance(tree, (list, tuple)):
        for value in tree:
            _check_texts(value, where)
    elif isinstance(tree, str) and (BRACE in tree or not _is_unicode(tree)):
        raise ComposeError(f"value {where}: not plain Unicode text")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# --- merging ------------------------------------------------------------------------------------


class _Merged:
    """A document that grows by snippets: lists are joined, anything defined twice is an error."""

    def __init__(self) -> None:
        self.tree: dict[str, Any] = {}
        self.owners: dict[tuple[str, str], str] = {}
        """(kind of thing or place, its name) → the snippet that defined it."""

    def add(self, snippet: str, document: Mapping[str, Any]) -> None:
        """Merge one snippet's document; raises ComposeError that names both snippets."""
        if document.keys() & {"variant", "version"}:
            raise ComposeError(f"snippet {snippet}: variant and version are the profile's")
        self._merge(self.tree, document, "", snippet)

    def _merge(self, into: dict[str, Any], new: Mapping[str, Any], place: str, owner: str) -> None:
        for key, value in new.items():
            where = f"{place}.{key}" if place else key
            if isinstance(value, dict):
                self._expect(into.setdefault(key, {}), dict, where, owner)
                self._merge(into[key], value, where, owner)
            elif isinstance(value, list):
                self._expect(into.setdefault(key, []), list, where, owner)
                for entry in value:
                    self._claim_entry(where, entry, owner)
                into[key] += value
            else:
                self._claim("value", where, owner)
                self._expect(into.setdefault(key, value), type(value), where, owner)

    def _expect(self, present: object, kind: type, where: str, owner: str) -> None:
        if not isinstance(present, kind):
            raise ComposeError(f"snippet {owner}: {where}: another snippet has another type here")

    def _claim_entry(self, place: str, entry: Any, owner: str) -> None:
        identity = _IDENTITY.get(place)
        if identity is None:
            return
        name = entry.get(identity) if isinstance(entry, dict) else None
        if not isinstance(name, str) or not name:
            raise ComposeError(f"snippet {owner}: {place}: an entry needs a plain {identity}")
        if place in _NODES:
            if not name.startswith("/") or posixpath.normpath(name) != name:
                raise ComposeError(f"snippet {owner}: {place}: {name!r} is no absolute path")
            place = "path"
        self._claim(place, name, owner)

    def _claim(self, place: str, name: str, owner: str) -> None:
        if (place, name) in self.owners:
            other = self.owners[place, name]
            raise ComposeError(f"{name} is defined twice: by snippet {other} and snippet {owner}")
        self.owners[place, name] = owner


def _boot_part(tree: Mapping[str, Any]) -> BootPart:
    if tree.keys() - {"kernel", "initrd", "args"}:
        raise ComposeError(f"boot: only kernel, initrd and args are known, not {sorted(tree)}")
    kernel, initrd, args = tree.get("kernel"), tree.get("initrd", []), tree.get("args", [])
    if not isinstance(initrd, list) or not isinstance(args, list):
        raise ComposeError("boot: initrd and args are lists")
    for text in (kernel, *initrd, *args):
        if not isinstance(text, str) or not text or not text.isprintable() or " " in text:
            raise ComposeError(f"boot: {text!r}: expected one word; matchbox fills no marks here")
    return BootPart(str(kernel), tuple(initrd), tuple(args))


# --- marks --------------------------------------------------------------------------------------


def _marks_of(parts: Iterable[Snippet]) -> frozenset[str]:
    keys: set[str] = set()
    for part in parts:
        for marked in _marked(part.butane):
            _refuse_membership(part.name, marked)
            keys |= marked.keys
    return frozenset(keys)


def _marked(tree: Any) -> Iterator[Marked]:
    if isinstance(tree, Marked):
        yield tree
    elif isinstance(tree, (dict, list)):
        for value in tree.values() if isinstance(tree, dict) else tree:
            yield from _marked(value)


def _refuse_membership(snippet: str, marked: Marked) -> None:
    wrong = sorted(key for key in marked.keys if key.partition(".")[0] in MEMBERSHIP_KEYS)
    if wrong:
        raise ComposeError(
            f"snippet {snippet}: {{{{ .{wrong[0]} }}}} is membership, which changes with other "
            "machines and stands in no Ignition document; the agent reads it from /metadata"
        )
