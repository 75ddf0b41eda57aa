"""Is a machine's running config the desired one? Comparing digests, cheapest first. Pure.

A machine sends its whole running document, or only a digest: `{"sha512": "<128 hex digits>"}`
of the exact bytes it was served, or of the document's RFC 8785 canonical form. Either digest is
accepted. Two documents are the same JSON value exactly when their canonical forms are equal.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any

import rfc8785

from enjoliver.common.http import parse_json

_SHA512 = re.compile(r"[0-9a-f]{128}")


class UnreadableReport(ValueError):
    """The body is not JSON, or its digest form holds no SHA-512."""


@dataclass(frozen=True, slots=True)
class Digests:
    """SHA-512 of a document's bytes and of its canonical form; empty where unknown."""

    sha512: str = ""
    canonical: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a machine says it runs. `is_full`: it sent the document itself, not a digest."""

    digests: Digests
    is_full: bool


def matches(running: Digests, desired: Digests | None) -> bool:
    """True when any digest of the running config is one of the desired config's."""
    if desired is None:
        return False
    wanted = {desired.sha512, desired.canonical} - {""}
    return bool(wanted & {running.sha512, running.canonical})


def claim_of_bytes(body: bytes, known: tuple[Digests | None, ...]) -> Claim | None:
    """The claim when the raw bytes are one of the `known` documents, without parsing them.

    A known one has both digests: only a document that was seen whole has a canonical form.
    """
    digest = hashlib.sha512(body).hexdigest()
    for digests in known:
        if digests and digests.canonical and digests.sha512 == digest:
            return Claim(digests, is_full=True)
    return None


def read_claim(body: bytes) -> Claim:
    """Parse a report; raises UnreadableReport with the reason."""
    try:
        document = parse_json(body)
    except ValueError as error:
        raise UnreadableReport(f"the body is not JSON: {error}") from error
    if isinstance(document, dict) and "sha512" in document and "ignition" not in document:
        return Claim(Digests(sha512=_read_digest(document["sha512"])), is_full=False)
    digest = hashlib.sha512(body).hexdigest()
    return Claim(Digests(digest, canonical_sha512(document)), is_full=True)


def _read_digest(value: Any) -> str:
    text = value.lower() if isinstance(value, str) else ""
    if not _SHA512.fullmatch(text):
        raise UnreadableReport("sha512 must be 128 hex digits")
    return text


def canonical_sha512(document: Any) -> str:
    """SHA-512 of the RFC 8785 form of a JSON value; empty when it has none.

    Integers beyond 2**53 and floats beyond the doubles have no canonical form. No config that
    the engine renders holds one, so such a document is simply another one.
    """
    try:
        return hashlib.sha512(rfc8785.dumps(document)).hexdigest()
    except (rfc8785.CanonicalizationError, RecursionError):
        return ""
