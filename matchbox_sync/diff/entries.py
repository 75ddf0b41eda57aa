"""A config as entries: each thing that it makes on a machine, by kind and name. Pure.

Specification of the document: https://coreos.github.io/ignition/configuration-v3_4/
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from matchbox_sync.ignition import decode_source

KINDS = (
    "kernel",
    "disk",
    "directory",
    "network",
    "file",
    "link",
    "unit",
    "drop-in",
    "user",
    "group",
    "metadata",
    "other",
)
"""In the order in which they are shown. `network`: files that configure networks and names."""

Key = tuple[str, str]
Value = str | bool | int | float | list[Any]

_NETWORK_PLACES = (
    "/etc/systemd/network/",
    "/etc/NetworkManager/",
    "/etc/systemd/resolved.conf",
    "/etc/cni/",
)
_NETWORK_FILES = frozenset(
    {"/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf"}
)
_DISKS = {"disks": "device", "raid": "name", "luks": "name", "filesystems": "device"}
_LISTS = frozenset({"files", "directories", "links", *_DISKS})


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing: plain attributes, and the bytes that it holds (None: it says nothing of them)."""

    attributes: Mapping[str, Value] = field(default_factory=dict)
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class Raw:
    """An entry as it stands in the document; read only when it differs from its twin."""

    kind: str
    document: Any

    def read(self) -> Entry:
        """Decode it; raises IgnitionError for contents that cannot be decoded."""
        return _READERS.get(self.kind, _read_plain)(self.document)


def raw_entries(
    tree: Mapping[str, Any], boot: Mapping[str, Any], metadata: Mapping[str, Any]
) -> dict[Key, Raw]:
    """All entries of a config by kind and name; of two with the same name the later gets `#2`."""
    found: dict[Key, Raw] = {}
    for kind, name, document in _walk(tree, boot, metadata):
        key, number = (kind, name), 2
        while key in found:
            key, number = (kind, f"{name}#{number}"), number + 1
        found[key] = Raw(kind, document)
    return found


Found = tuple[str, str, Any]


def _walk(
    tree: Mapping[str, Any], boot: Mapping[str, Any], metadata: Mapping[str, Any]
) -> Iterator[Found]:
    yield from _boot(boot)
    yield from _storage(tree.get("storage") or {})
    yield from _systemd(tree.get("systemd") or {})
    yield from _passwd(tree.get("passwd") or {})
    for name, words in (tree.get("kernelArguments") or {}).items():
        yield "kernel", f"Ignition's {name}", {"lines": words or []}
    for section in sorted(tree.keys() - {"storage", "systemd", "passwd", "kernelArguments"}):
        yield from _others(section, tree[section])
    for name, value in flatten(metadata).items():
        yield "metadata", name, {"value": value}


def _boot(boot: Mapping[str, Any]) -> Iterator[Found]:
    if boot:
        yield "kernel", "image", {k: v for k, v in boot.items() if k != "args"}
        yield "kernel", "arguments", {"lines": boot.get("args") or []}


def _storage(storage: Mapping[str, Any]) -> Iterator[Found]:
    for kind, identity in _DISKS.items():
        for document in storage.get(kind) or []:
            yield "disk", f"{kind} {_name(document, identity)}", document
    for document in storage.get("directories") or []:
        yield "directory", _name(document, "path"), document
    for document in storage.get("links") or []:
        yield "link", _name(document, "path"), document
    for document in storage.get("files") or []:
        path = _name(document, "path")
        yield _file_kind(path), path, document
        for number, part in enumerate(document.get("append") or [], 1):
            yield _file_kind(path), f"{path} (appended part {number})", {"contents": part}
    for kind in sorted(storage.keys() - _LISTS):
        yield from _others(f"storage.{kind}", storage[kind])


def _file_kind(path: str) -> str:
    is_network = path in _NETWORK_FILES or path.startswith(_NETWORK_PLACES)
    return "network" if is_network else "file"


def _systemd(systemd: Mapping[str, Any]) -> Iterator[Found]:
    for unit in systemd.get("units") or []:
        name = _name(unit, "name")
        yield "unit", name, {key: value for key, value in unit.items() if key != "dropins"}
        for dropin in unit.get("dropins") or []:
            yield "drop-in", f"{name}.d/{_name(dropin, 'name')}", dropin
    for kind in sorted(systemd.keys() - {"units"}):
        yield from _others(f"systemd.{kind}", systemd[kind])


def _passwd(passwd: Mapping[str, Any]) -> Iterator[Found]:
    for kind, word in (("users", "user"), ("groups", "group")):
        for document in passwd.get(kind) or []:
            yield word, _name(document, "name"), document
    for kind in sorted(passwd.keys() - {"users", "groups"}):
        yield from _others(f"passwd.{kind}", passwd[kind])


def _others(place: str, document: Any) -> Iterator[Found]:
    for name, value in flatten({place: document}).items():
        yield "other", name, {"value": value}


def _name(document: Any, identity: str) -> str:
    name = document.get(identity) if isinstance(document, Mapping) else None
    return str(name) if name else "(without a name)"


# --- reading one entry --------------------------------------------------------------------------


def _read_plain(document: Any) -> Entry:
    """Words of a kernel's command line are lines; all else is attributes."""
    if isinstance(document, Mapping) and set(document) == {"lines"}:
        return Entry(content=_lines(document["lines"]))
    return Entry(flatten(document if isinstance(document, Mapping) else {"value": document}))


def _read_file(document: Mapping[str, Any]) -> Entry:
    contents = document.get("contents") or {}
    rest = {key: value for key, value in document.items() if key not in {"contents", "append"}}
    source = contents.get("source")
    if source is not None and not source.startswith("data:"):
        # Fetched at boot: where from and with which digest is all that is known.
        return Entry(_attributes({**rest, "contents": contents}))
    if source is None:
        return Entry(_attributes(rest))
    return Entry(_attributes(rest), decode_source(source, contents.get("compression") or ""))


def _read_unit(document: Mapping[str, Any]) -> Entry:
    rest = {key: value for key, value in document.items() if key != "contents"}
    text = document.get("contents")
    return Entry(_attributes(rest), text.encode("utf-8", "surrogatepass") if text else None)


def _read_user(document: Mapping[str, Any]) -> Entry:
    """Keys are compared as lines in any order; of a password's hash only that it changed."""
    apart = {"sshAuthorizedKeys", "passwordHash"}
    rest = {key: value for key, value in document.items() if key not in apart}
    secret = document.get("passwordHash")
    if secret:
        rest["password"] = f"hash {hashlib.sha256(str(secret).encode()).hexdigest()[:12]}"
    keys = document.get("sshAuthorizedKeys")
    return Entry(_attributes(rest), _lines(sorted(set(keys))) if keys else None)


def _lines(words: Sequence[Any]) -> bytes:
    return "".join(f"{word}\n" for word in words).encode("utf-8", "surrogatepass")


_READERS: dict[str, Callable[[Any], Entry]] = {
    "file": _read_file,
    "network": _read_file,
    "unit": _read_unit,
    "drop-in": _read_unit,
    "user": _read_user,
}


def _attributes(document: Mapping[str, Any]) -> dict[str, Value]:
    flat = flatten(document)
    mode = flat.get("mode")
    if isinstance(mode, int) and not isinstance(mode, bool):
        flat["mode"] = f"{mode:04o}"
    for name in ("path", "name"):
        flat.pop(name, None)
    return flat


def flatten(document: Mapping[str, Any], place: str = "") -> dict[str, Value]:
    """Nested mappings as dotted names; lists stay whole, and what says nothing is left out."""
    flat: dict[str, Value] = {}
    for key, value in document.items():
        name = f"{place}.{key}" if place else str(key)
        if isinstance(value, Mapping):
            flat |= flatten(value, name)
        elif isinstance(value, (list, tuple)):
            if value:
                flat[name] = json.loads(json.dumps(value, sort_keys=True))
        elif value is not None and value != "":
            flat[name] = value
    return dict(sorted(flat.items()))
