"""The kind http: a URL answers a status and, if asked for, a value or a text."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

from lifecycle.health.asking import Ask, CheckFailed, Config, Result
from lifecycle.health.fields import (
    TLS,
    Problems,
    Shape,
    file,
    key_with_certificate,
    pattern,
    url,
)
from lifecycle.health.files import read_file, tls_context
from lifecycle.health.processes import run_bounded
from lifecycle.health.web import Answer, make_client, read_json, send
from machines.text import has_control_characters, one_line

MAX_BODY_BYTES = 1024 * 1024
MAX_SEARCHED_BYTES = 64 * 1024
_REDIRECTS = 3
_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)*")


def _statuses(value: object) -> str:
    numbers = value if isinstance(value, list) else [value]
    is_fit = 0 < len(numbers) <= 20 and all(type(n) is int and 200 <= n < 600 for n in numbers)
    return "" if is_fit else "a status (200) or a list of them is expected"


def _pointer(value: object) -> str:
    is_fit = isinstance(value, str) and len(value) <= 500 and _POINTER.fullmatch(value)
    return "" if is_fit else "a JSON pointer like /status/health is expected (RFC 6901)"


def _scalar(value: object) -> str:
    is_number = isinstance(value, (int, float)) and abs(value) < 2**63  # infinite ones and NaN not
    is_text = isinstance(value, str) and len(value) <= 500 and not has_control_characters(value)
    return "" if value is None or is_number or is_text else "a text, number, true, false or null"


def _together(config: Mapping[str, object]) -> Problems:
    problems = key_with_certificate(config)
    if "equals" in config and "json_pointer" not in config:
        problems["json_pointer"] = "required with equals"
    if "json_pointer" in config and not {"equals", "regex"} & set(config):
        problems["equals"] = "required with json_pointer (or regex)"
    if "equals" in config and "regex" in config:
        problems["regex"] = "not together with equals"
    return problems


SHAPE = Shape(
    {
        "url": url,
        "status": _statuses,
        "json_pointer": _pointer,
        "equals": _scalar,
        "regex": pattern,
        "bearer_token_file": file,
        **TLS,
    },
    required=("url",),
    together=_together,
)


async def check(config: Config, ask: Ask) -> Result:
    """Ask the URL, following redirects on the same host only."""
    address: str = config["url"]
    answer = await _get(config, ask, address)
    status = config.get("status", 200)
    wanted = status if isinstance(status, list) else [status]
    if answer.status not in wanted:
        expected = " or ".join(str(number) for number in wanted)
        raise CheckFailed(f"{address} answers {answer.status}, expected {expected}")
    if "equals" in config or "regex" in config:
        return _judge_body(config, ask, address, answer.body)
    return Result(True, f"{address} answers {answer.status}")


async def _get(config: Config, ask: Ask, address: str) -> Answer:
    headers = {}
    if "bearer_token_file" in config:
        headers["Authorization"] = f"Bearer {read_file(ask, config['bearer_token_file'])}"
    context = tls_context(ask, config) if address.startswith("https:") else None
    async with make_client(context, headers) as client:
        for _ in range(_REDIRECTS + 1):
            answer = await send(client, "GET", address, limit=MAX_BODY_BYTES)
            if not answer.location or answer.status in _listed(config):
                return answer
            address = _follow(address, answer.location)
    raise CheckFailed(f"more than {_REDIRECTS} redirects, the last one to {address}")


def _listed(config: Config) -> list[int]:
    """Statuses that are wanted explicitly: a redirect may be what is expected."""
    status = config.get("status", 200)
    return status if isinstance(status, list) else [status]


def _follow(address: str, location: str) -> str:
    """Where a redirect leads; raises CheckFailed when that is another origin, which must not get
    the token."""
    try:
        target = urljoin(address, location)
        before, after = urlsplit(address), urlsplit(target)
        is_same = (before.scheme, before.netloc) == (after.scheme, after.netloc)
    except ValueError as error:
        raise CheckFailed(f"{address} redirects to no URL") from error
    if not is_same:
        place = one_line(f"{after.scheme}://{after.netloc}", 100)
        raise CheckFailed(f"{address} redirects to {place}, which is not followed")
    return target


def _judge_body(config: Config, ask: Ask, address: str, body: bytes) -> Result:
    where, value = address, body.decode("utf-8", "replace")
    if "json_pointer" in config:
        where = f"{config['json_pointer']} of {address}"
        found = find_value(read_json(body, address), config["json_pointer"])
        if "equals" in config:
            return _compare(where, found, config["equals"])
        value = found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)
    is_good = _matches(config["regex"], value, ask)
    verb = "matches" if is_good else "does not match"
    return Result(is_good, f"{where} {verb} {config['regex']}")


def find_value(document: Any, pointer: str) -> Any:
    """The value that a JSON pointer (RFC 6901) names; raises CheckFailed without one."""
    value = document
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and re.fullmatch(r"0|[1-9][0-9]{0,8}", name):
            number = int(name)
            if number >= len(value):
                raise CheckFailed(f"the answer has nothing at {pointer}")
            value = value[number]
        else:
            raise CheckFailed(f"the answer has nothing at {pointer}")
    return value


def _compare(where: str, found: Any, wanted: Any) -> Result:
    # True is no 1: in JSON they are different values.
    is_same = found == wanted and isinstance(found, bool) is isinstance(wanted, bool)
    shown = one_line(json.dumps(found, ensure_ascii=False), 100)
    expected = "" if is_same else f", expected {json.dumps(wanted, ensure_ascii=False)}"
    return Result(is_same, f"{where} is {shown}{expected}")


_SEARCH = """
import re, sys
text = sys.stdin.buffer.read().decode("utf-8", "replace")
sys.exit(0 if re.search(sys.argv[1], text, re.MULTILINE) else 3)
"""


def _matches(expression: str, text: str, ask: Ask) -> bool:
    """In a process of its own: some expressions take for ever, and nothing stops them inside."""
    given = text.encode()[:MAX_SEARCHED_BYTES]
    arguments = [sys.executable, "-I", "-S", "-W", "ignore", "-c", _SEARCH, expression]
    finished = run_bounded(arguments, seconds=ask.seconds, given=given)
    if finished.code is None:
        raise CheckFailed(f"the regular expression took longer than {ask.seconds:g} s")
    if finished.code not in (0, 3):
        raise CheckFailed(f"the regular expression failed: {one_line(finished.output, 100)}")
    return finished.code == 0
