"""The kinds of health gates: their fields, and one check of each, bounded in time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from lifecycle.health import command, etcd, http, kubernetes, prometheus
from lifecycle.health.asking import Ask, CheckFailed, Config, Result
from lifecycle.health.fields import Problems, Shape
from machines.text import one_line

logger = logging.getLogger(__name__)
MAX_MESSAGE = 400
SHAPES: dict[str, Shape] = {
    "etcd": etcd.SHAPE,
    "kubernetes": kubernetes.SHAPE,
    "http": http.SHAPE,
    "prometheus": prometheus.SHAPE,
    "command": command.SHAPE,
}
_BY_NETWORK: dict[str, Callable[[Config, Ask], Awaitable[Result]]] = {
    "etcd": etcd.check,
    "kubernetes": kubernetes.check,
    "http": http.check,
    "prometheus": prometheus.check,
}


def check_config(kind: str, config: object) -> Problems:
    """What is wrong with the configuration of a gate, by field."""
    return SHAPES[kind].problems(config)


def check_health(kind: str, config: Config, ask: Ask) -> Result:
    """Check once; never raises: whatever goes wrong is a bad result that says what."""
    try:
        found = _check(kind, config, ask)
    except CheckFailed as error:
        found = Result(False, str(error))
    except TimeoutError:
        found = Result(False, f"no answer within {ask.seconds:g} s")
    except Exception as error:  # a bug of ours must not open a gate, nor stop the others
        logger.exception("the health gate %s of %s cannot be checked", ask.gate, ask.policy)
        found = Result(False, f"the check itself failed: {error!r}")
    return Result(found.is_good, one_line(found.message, MAX_MESSAGE))


def _check(kind: str, config: Config, ask: Ask) -> Result:
    problems = check_config(kind, config)
    if problems:  # kept by another version of the engine
        sentence = "; ".join(f"{field}: {reason}" for field, reason in problems.items())
        raise CheckFailed(f"its configuration does not fit: {sentence}")
    if kind == "command":
        return command.check(config, ask)
    return asyncio.run(_within(_BY_NETWORK[kind](config, ask), ask.seconds))


async def _within(check: Awaitable[Result], seconds: float) -> Result:
    async with asyncio.timeout(seconds):
        return await check
