"""SHA-512 digests as people and publishers write them. Pure."""

from __future__ import annotations

import re

from enjoliver.common.errors import InvalidInput

_SHA512 = re.compile(r"[0-9a-f]{128}", re.ASCII)
_LINE = re.compile(r"([0-9a-fA-F]{128})\s+\*?(\S+)", re.ASCII)


def read_sha512(text: str) -> str:
    """A digest that somebody gave, lower-case; raises InvalidInput."""
    digest = text.strip().lower()
    if not _SHA512.fullmatch(digest):
        raise InvalidInput("a SHA-512 digest has 128 hex digits", kind="invalid_digest")
    return digest


def read_digests(text: str) -> dict[str, str]:
    """File name to SHA-512, from a Flatcar `.DIGESTS` file or what `sha512sum` prints.

    Digests of other lengths (MD5, SHA-1 beside it in the same file) are passed over.
    """
    found = (_LINE.fullmatch(line.strip()) for line in text.splitlines())
    return {match[2].rpartition("/")[2]: match[1].lower() for match in found if match}
