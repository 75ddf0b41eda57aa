"""The kind prometheus: an instant query answers nothing, or only samples that hold."""

from __future__ import annotations

import base64
import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from lifecycle.health.asking import Ask, CheckFailed, Config, Result
from lifecycle.health.fields import TLS, Problems, Shape, file, key_with_certificate, text, url
from lifecycle.health.files import read_file, tls_context
from lifecycle.health.web import make_client, read_json, read_object, send
from machines.text import one_line

MAX_BODY_BYTES = 4 * 1024 * 1024
EMPTY = "empty"
_CONDITION = re.compile(r"(==|!=|<=|>=|<|>) ?(-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?)")
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _condition(value: object) -> str:
    is_fit = isinstance(value, str) and (value == EMPTY or _CONDITION.fullmatch(value))
    return "" if is_fit else 'empty, or a comparison like "== 0" or "< 0.05" is expected'


def _together(config: Mapping[str, object]) -> Problems:
    problems = key_with_certificate(config)
    if ("username" in config) is not ("password_file" in config):
        missing = "password_file" if "username" in config else "username"
        problems[missing] = "username and password_file go together"
    if "username" in config and "bearer_token_file" in config:
        problems["username"] = "not together with bearer_token_file"
    return problems


SHAPE = Shape(
    {
        "url": url,
        "query": text(2000),
        "expect": _condition,
        "bearer_token_file": file,
        "username": text(200),
        "password_file": file,
        **TLS,
    },
    required=("url", "query", "expect"),
    together=_together,
)


async def check(config: Config, ask: Ask) -> Result:
    """Run the query and judge every sample of the answer."""
    address = f"{config['url'].rstrip('/')}/api/v1/query"
    context = tls_context(ask, config) if address.startswith("https:") else None
    question = {"query": config["query"], "timeout": f"{ask.seconds:g}s"}
    async with make_client(context, _credentials(config, ask)) as client:
        answer = await send(client, "POST", address, limit=MAX_BODY_BYTES, data=question)
    if answer.status in (400, 422, 503):
        _raise_reason(answer.body, address)
    document = read_object(answer, address)
    if document.get("warnings"):
        # Parts of the data are missing then: no samples would not mean that all is well.
        raise CheckFailed(f"the query has warnings: {one_line(str(document['warnings']), 200)}")
    return judge(_samples(document), config["expect"])


def _credentials(config: Config, ask: Ask) -> dict[str, str]:
    if "bearer_token_file" in config:
        return {"Authorization": f"Bearer {read_file(ask, config['bearer_token_file'])}"}
    if "username" in config:
        pair = f"{config['username']}:{read_file(ask, config['password_file'])}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    return {}


def _raise_reason(body: bytes, address: str) -> None:
    document = read_json(body, address)
    if isinstance(document, dict) and document.get("error"):
        raise CheckFailed(f"the query failed: {one_line(str(document['error']), 250)}")


Samples = list[tuple[str, float]]


def _samples(document: Mapping[str, Any]) -> Samples:
    try:
        data = document["data"]
        kind, result = data["resultType"], data["result"]
        if kind == "scalar":
            return [("the value", float(result[1]))]
        if kind == "vector":
            return [(_name(one["metric"]), float(one["value"][1])) for one in result]
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise CheckFailed("the answer is none of Prometheus' HTTP API") from error
    raise CheckFailed(f"the query gives a {kind}; a number or a vector is expected")


def _name(metric: Mapping[str, str]) -> str:
    labels = ",".join(f'{name}="{value}"' for name, value in metric.items() if name != "__name__")
    return one_line(f"{metric.get('__name__', '')}{{{labels}}}", 120)


def judge(samples: Samples, condition: str) -> Result:
    """Every sample must hold; a comparison of nothing does not, nor does one with NaN."""
    if condition == EMPTY:
        bad = samples
    elif not samples:
        return Result(False, "the query answers nothing: there is no value to compare")
    else:
        found = _CONDITION.fullmatch(condition)
        assert found is not None  # noqa: S101 - checked when the gate was kept
        holds, limit = _OPERATORS[found[1]], float(found[2])
        bad = [(name, n) for name, n in samples if math.isnan(n) or not holds(n, limit)]
    if bad:
        name, number = bad[0]
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        return Result(False, f"{name} is {number:g}, expected {condition}{more}")
    number_of = f"{len(samples)} samples are" if samples else "the answer is"
    return Result(True, f"{number_of} {condition}")
