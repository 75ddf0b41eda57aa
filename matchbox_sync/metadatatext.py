"""matchbox's `/metadata` text, without asking matchbox. Pure.

Read from matchbox v0.11.0 (`http/metadata.go`, `http/parse.go`) and Go's net/url and net; the
tests compare with the real program.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_HEX = re.compile(rb"%([0-9A-Fa-f]{2})")
# Octets of EUI-48, EUI-64 and IP-over-InfiniBand addresses.
_MAC_OCTETS = (6, 8, 20)
_MAC_GROUPS = {":": 2, "-": 2, ".": 4}


def metadata_text(
    metadata: Mapping[str, Any],
    *,
    selector: Mapping[str, str],
    raw_query: str,
    params: Mapping[str, str] | None = None,
) -> str:
    """matchbox's own `/metadata` answer for a group with `metadata` and `selector`, lines sorted.

    `raw_query` is the query string as WSGI gives it (bytes as Latin-1). It is read as matchbox
    reads it; `params` replaces that reading where a caller has one of its own. Bytes that are no
    UTF-8 come out as U+FFFD.
    """
    raw = _as_bytes(raw_query)
    query = _labels(_parse_query(raw) if params is None else params.items())
    data = {
        **metadata,
        **{key.lower(): value for key, value in selector.items()},
        "request": {"query": query, "raw_query": raw.decode("utf-8", "surrogateescape")},
    }
    lines = sorted("\n".join(_lines("", data)).split("\n"))
    text = "".join(f"{line}\n" for line in lines)
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _as_bytes(raw_query: str) -> bytes:
    try:
        return raw_query.encode("latin-1")
    except UnicodeEncodeError:
        return raw_query.encode("utf-8", "surrogateescape")


def _lines(prefix: str, data: Mapping[str, Any]) -> Iterator[str]:
    """`KEY=value` for each leaf; lists and nulls have no line."""
    for key, value in data.items():
        if isinstance(value, Mapping):
            yield from _lines(f"{prefix}{key}_", value)
        elif isinstance(value, bool):
            yield f"{go_upper(prefix + key)}={'true' if value else 'false'}"
        elif isinstance(value, str):
            yield f"{go_upper(prefix + key)}={value}"
        elif value is not None and not isinstance(value, (list, tuple)):
            raise TypeError(f"{prefix}{key}: a leaf is text or a boolean, not {value!r}")


def go_upper(text: str) -> str:
    """Go's strings.ToUpper: letter by letter, so that ß stays; what is no UTF-8 is U+FFFD."""
    return "".join(_upper_letter(letter) for letter in text)


def _upper_letter(letter: str) -> str:
    if "\udc80" <= letter <= "\udcff":
        return "\ufffd"
    # str.upper() may give several letters; the simple mapping is then the title case, or none.
    return next((form for form in (letter.upper(), letter.title()) if len(form) == 1), letter)


# --- the query ----------------------------------------------------------------------------------


def _parse_query(raw: bytes) -> Iterator[tuple[str, str]]:
    """Go's url.ParseQuery: pairs with `;` or a broken escape are left out."""
    for pair in raw.split(b"&"):
        if not pair or b";" in pair:
            continue
        key, _, value = pair.partition(b"=")
        if _PERCENT.search(key) or _PERCENT.search(value):
            continue
        yield _unescape(key), _unescape(value)


def _unescape(text: bytes) -> str:
    plain = _HEX.sub(lambda found: bytes([int(found[1], 16)]), text.replace(b"+", b" "))
    return plain.decode("utf-8", "surrogateescape")


def _labels(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The first value of each key; a MAC is normalised, or left out when it cannot be read."""
    first: dict[str, str] = {}
    for key, value in pairs:
        first.setdefault(key, value)
    read = {key: parse_mac(text) if key.lower() == "mac" else text for key, text in first.items()}
    return {key: text for key, text in read.items() if text is not None}


def parse_mac(text: str) -> str | None:
    """Go's net.ParseMAC: lower-case hex with colons, or None when Go refuses the spelling."""
    separator = next((letter for letter in text[:5] if letter in _MAC_GROUPS), "")
    if not separator:
        return None
    width = _MAC_GROUPS[separator]
    groups = text.split(separator)
    digits = "".join(groups)
    is_hex = re.fullmatch("[0-9A-Fa-f]+", digits) and {len(group) for group in groups} == {width}
    if not is_hex or len(digits) // 2 not in _MAC_OCTETS:
        return None
    return ":".join(digits[i : i + 2] for i in range(0, len(digits), 2)).lower()
