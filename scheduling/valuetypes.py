"""Types of cluster values: each turns what an operator wrote into a safe plain value. Pure.

Values end up in configuration files, in kernel arguments and in matchbox's `/metadata`, whose
lines have no quoting; so no value ever holds a control character or a line break.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Callable
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

MAX_TEXT = 2048
MAX_ITEMS = 100

_VERSION = re.compile(r"[0-9]+(?:\.[0-9]+){1,3}(?:[-+][0-9A-Za-z.-]+)?", re.ASCII)
_PATH = re.compile(r"(?:/[A-Za-z0-9_.@-]+)+", re.ASCII)
_ASSET = re.compile(r"[A-Za-z0-9_.@-]+(?:/[A-Za-z0-9_.@-]+)*", re.ASCII)
_SHA512 = re.compile(r"[0-9a-f]{128}", re.ASCII)
_URL_SAFE = re.compile(r"[A-Za-z0-9._~:/?&=%@+,\[\]-]+", re.ASCII)


class ValueType(StrEnum):
    """What kind of value a key takes; the text is what documentation and errors say."""

    STRING = "text"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    PORT = "port"
    VERSION = "version"
    PATH = "absolute path"
    ASSET = "path below /assets"
    URL = "URL"
    SHA512 = "SHA-512"
    ADDRESS = "IPv4 address"
    NETWORK = "IPv4 network"
    ADDRESSES = "list of addresses"
    WORDS = "list of words"
    LINES = "list of texts"

    @property
    def is_list(self) -> bool:
        """True when the value is a list of texts."""
        return self in (ValueType.ADDRESSES, ValueType.WORDS, ValueType.LINES)


def parse_value(value_type: ValueType, raw: object) -> Any:
    """Return `raw` as the plain value of `value_type`; raises ValueError with the reason.

    Nothing is guessed: the text "4003" is no port and 1.34 (a YAML float) is no version.
    """
    return _PARSERS[value_type](raw)


def read_text(value_type: ValueType, texts: list[str]) -> object:
    """Turn what stood after `KEY=` on a command line into what `parse_value` takes.

    `texts` holds one text for each time the key was given. Booleans are true and false; lists
    take one item a text, words and addresses also several separated by commas; one empty text
    is the empty list. What does not fit is returned as it is, so that `parse_value` refuses it.
    """
    if value_type.is_list:
        if texts == [""]:
            return []
        if value_type is ValueType.LINES:
            return texts
        return [item.strip() for text in texts for item in text.split(",")]
    text = texts[-1]
    if value_type is ValueType.BOOLEAN:
        return {"true": True, "false": False}.get(text.lower(), text)
    if value_type in (ValueType.INTEGER, ValueType.PORT) and re.fullmatch(r"-?[0-9]{1,18}", text):
        return int(text)
    return text


def _text(raw: object) -> str:
    if not isinstance(raw, str):
        raise ValueError(f"expected text, got {_kind_of(raw)}")
    if len(raw) > MAX_TEXT:
        raise ValueError(f"longer than {MAX_TEXT} characters")
    for character in raw:
        category = unicodedata.category(character)
        if category.startswith("C") or category in ("Zl", "Zp"):
            raise ValueError(f"control character U+{ord(character):04X} is not allowed")
    if raw != raw.strip():
        raise ValueError("blanks at the beginning or the end are not allowed")
    if "<no value>" in raw:
        raise ValueError("'<no value>' is what a template prints for a missing key")
    return raw


def _integer(raw: object) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int):
        raise ValueError(f"expected an integer, got {_kind_of(raw)}")
    return raw


def _boolean(raw: object) -> bool:
    if not isinstance(raw, bool):
        raise ValueError(f"expected true or false, got {_kind_of(raw)}")
    return raw


def _port(raw: object) -> int:
    port = _integer(raw)
    if not 1 <= port <= 65535:
        raise ValueError("a port is a number from 1 to 65535")
    return port


def _matching(pattern: re.Pattern[str], expected: str) -> Callable[[object], str]:
    def parse(raw: object) -> str:
        text = _text(raw)
        if not pattern.fullmatch(text) or ".." in text:
            raise ValueError(f"expected {expected}")
        return text

    return parse


def _optional(parse: Callable[[object], str]) -> Callable[[object], str]:
    return lambda raw: "" if raw == "" else parse(raw)


def _url(raw: object) -> str:
    text = _text(raw)
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise ValueError("expected http:// or https:// with a host and without credentials")
    if not _URL_SAFE.fullmatch(text):
        raise ValueError("a URL takes letters, digits and ._~:/?&=%@+,[]- only")
    return text


def _address(raw: object) -> str:
    text = _text(raw)
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError as error:
        raise ValueError("expected an IPv4 address like 10.0.0.1") from error


def _network(raw: object) -> str:
    text = _text(raw)
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError as error:
        raise ValueError(f"expected a network like 10.0.0.0/16 ({error})") from error
    if "/" not in text or not 1 <= network.prefixlen <= 30:
        raise ValueError("expected a network with a prefix from /1 to /30")
    return str(network)


def _list_of(parse: Callable[[object], str]) -> Callable[[object], list[str]]:
    def parse_list(raw: object) -> list[str]:
        if not isinstance(raw, (list, tuple)):
            raise ValueError(f"expected a list, got {_kind_of(raw)}")
        if len(raw) > MAX_ITEMS:
            raise ValueError(f"more than {MAX_ITEMS} items")
        items = []
        for number, item in enumerate(raw, start=1):
            try:
                items.append(parse(item))
            except ValueError as error:
                raise ValueError(f"item {number}: {error}") from error
        if len(set(items)) != len(items):
            raise ValueError("an item stands there twice")
        return items

    return parse_list


def _any_address(raw: object) -> str:
    try:
        return str(ipaddress.ip_address(_text(raw)))
    except ValueError as error:
        raise ValueError("expected an IPv4 or IPv6 address") from error


def _word(raw: object) -> str:
    word = _line(raw)
    if "," in word or any(character.isspace() for character in word):
        raise ValueError("blanks and commas are not allowed")
    return word


def _line(raw: object) -> str:
    line = _text(raw)
    if not line:
        raise ValueError("is empty")
    return line


def _kind_of(raw: object) -> str:
    names = {
        bool: "a boolean",
        int: "an integer",
        float: "a number with a fraction (text needs quotes)",
    }
    names |= {
        str: "text",
        list: "a list",
        tuple: "a list",
        dict: "a mapping",
        type(None): "nothing",
    }
    return names.get(type(raw), type(raw).__name__)


_PARSERS: dict[ValueType, Callable[[object], Any]] = {
    ValueType.STRING: _text,
    ValueType.INTEGER: _integer,
    ValueType.BOOLEAN: _boolean,
    ValueType.PORT: _port,
    ValueType.VERSION: _matching(_VERSION, "a version like 1.2.3"),
    ValueType.PATH: _matching(_PATH, "an absolute path of letters, digits and _.@-"),
    ValueType.ASSET: _matching(_ASSET, "a relative path of letters, digits and _.@-"),
    ValueType.URL: _optional(_url),
    ValueType.SHA512: _optional(_matching(_SHA512, "128 lower-case hex digits")),
    ValueType.ADDRESS: _address,
    ValueType.NETWORK: _network,
    ValueType.ADDRESSES: _list_of(_any_address),
    ValueType.WORDS: _list_of(_word),
    ValueType.LINES: _list_of(_line),
}
