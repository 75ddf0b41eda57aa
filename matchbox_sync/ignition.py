"""Reading an Ignition 3.x document: its entries, and the files that it carries. Pure.

Specification: https://coreos.github.io/ignition/configuration-v3_4/
"""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_to_bytes


class IgnitionError(ValueError):
    """Bytes that are no Ignition 3.x document; the message says what and where."""


@dataclass(frozen=True, slots=True)
class IgnitionDocument:
    """A parsed document; `files` holds what it carries, not what a machine would fetch."""

    tree: Mapping[str, Any]
    files: Mapping[str, bytes]

    def entries(self, section: str, kind: str) -> list[dict[str, Any]]:
        """The entries of one list, such as `storage`, `files`."""
        return entries(self.tree, section, kind)

    @property
    def paths(self) -> list[str]:
        """All paths that it makes, in its order."""
        kinds = ("files", "directories", "links")
        return [entry["path"] for kind in kinds for entry in self.entries("storage", kind)]

    @property
    def units(self) -> list[str]:
        """The names of its units, in its order."""
        return [entry["name"] for entry in self.entries("systemd", "units")]

    def texts(self) -> Iterator[tuple[str, bytes]]:
        """(where, content) of everything that lands on the machine."""
        yield from self.files.items()
        for unit in self.entries("systemd", "units"):
            yield unit["name"], (unit.get("contents") or "").encode()
            for dropin in unit.get("dropins") or []:
                where = f"{unit['name']}.d/{dropin['name']}"
                yield where, (dropin.get("contents") or "").encode()
        yield "passwd", json.dumps(self.tree.get("passwd"), ensure_ascii=False).encode()


def read_ignition(body: bytes) -> IgnitionDocument:
    """Parse a document and decode its files; raises IgnitionError."""
    try:
        tree = json.loads(body)
        version = tree["ignition"]["version"]
        if not version.startswith("3."):
            raise IgnitionError(f"Ignition version {version!r} is not 3.x")
        return IgnitionDocument(tree, _inline_files(tree))
    except IgnitionError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise IgnitionError(f"no Ignition document: {error!r}") from error


def entries(tree: Mapping[str, Any], section: str, kind: str) -> list[dict[str, Any]]:
    """The entries of one list of a Butane or Ignition document; none when it is not there."""
    return list((tree.get(section) or {}).get(kind) or [])


def _inline_files(tree: Mapping[str, Any]) -> dict[str, bytes]:
    files = {}
    for entry in entries(tree, "storage", "files"):
        contents = entry.get("contents") or {}
        source = contents.get("source") or "data:,"
        if source.startswith("data:"):
            files[str(entry["path"])] = decode_source(source, contents.get("compression") or "")
    return files


@lru_cache(maxsize=512)
def decode_source(source: str, compression: str = "") -> bytes:
    """The bytes of a `data:` URL (RFC 2397); raises IgnitionError.

    Cached: bodies without marks are the same for all machines of a role.
    """
    header, comma, body = source.partition(",")
    if not comma or not header.startswith("data:"):
        raise IgnitionError(f"{source[:40]!r} is no data URL")
    data = unquote_to_bytes(body)
    try:
        if header.endswith(";base64"):
            data = base64.b64decode(data, validate=True)
        return gzip.decompress(data) if compression == "gzip" else data
    except (binascii.Error, OSError, EOFError, zlib.error) as error:
        raise IgnitionError(f"{source[:40]!r}: {error}") from error
