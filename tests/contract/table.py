"""A row of the contract: what it says, what is asked, what must come back."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction

CURL = "application/x-www-form-urlencoded"
"""What plain `curl -d` says of a body; the engine must not care."""
ANYTHING = object()


@dataclass(frozen=True, slots=True)
class Row:
    """One sentence of the contract and the exchange that proves it.

    `ask` is the method and the path with its query. `body` is sent as it is when it is text or
    bytes, else as JSON; `sends` are headers; `by` names who asks: a machine (no credential), the
    operator, a reader without permissions, or a stranger with a wrong password.
    Of the answer: `answer` is the whole JSON value, `has` some of its keys, `text` a piece of the
    body and `lacks` one that must not be there, `headers` regular expressions.
    """

    says: str
    ask: str
    status: int
    body: Any = b""
    sends: Mapping[str, str] = field(default_factory=dict)
    by: str = "machine"
    answer: Any = ANYTHING
    has: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
    lacks: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


_CREDENTIALS = {
    "machine": None,
    "operator": "operator:right",
    "reader": "reader:right",
    "stranger": "operator:wrong",
}


def send(client: Any, row: Row) -> Any:
    """The answer to a row's request."""
    method, _, path = row.ask.partition(" ")
    body = row.body if isinstance(row.body, str | bytes) else json.dumps(row.body)
    credential = _CREDENTIALS[row.by]
    headers = dict(row.sends)
    if credential:
        headers["Authorization"] = "Basic " + base64.b64encode(credential.encode()).decode()
    return client.generic(method, path, body, content_type=CURL, headers=headers)


def check(client: Any, row: Row) -> Any:
    """Ask and compare; the answer, for what comes after it."""
    answer = send(client, row)
    content = b"".join(answer.streaming_content) if answer.streaming else answer.content
    assert answer.status_code == row.status, content[:400]
    is_json = answer.headers.get("Content-Type", "") == "application/json"
    if row.ask.startswith("HEAD "):
        assert content == b""
    elif row.status >= 400 and not row.text:
        assert {"kind", "value"} <= set(json.loads(content)), "every error has this form"
    if row.answer is not ANYTHING:
        assert is_json
        assert json.loads(content) == row.answer
    if row.has:
        assert {key: json.loads(content)[key] for key in row.has} == dict(row.has)
    assert row.text in content.decode()
    assert not row.lacks or row.lacks not in content.decode()
    for name, pattern in row.headers.items():
        assert re.fullmatch(pattern, answer.headers.get(name, "")), (name, dict(answer.headers))
    return answer


def walk(client: Any, subtests: Any, rows: Sequence[Row], *, is_story: bool = False) -> None:
    """Check all rows; each from the same state, or, in a story, from what the last one left."""
    for row in rows:
        with subtests.test(row.says):
            if is_story:
                check(client, row)
            else:
                with _undone():
                    check(client, row)


@contextmanager
def _undone() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)
