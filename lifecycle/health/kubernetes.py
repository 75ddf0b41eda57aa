"""The kind kubernetes: the nodes of a policy's machines are there and Ready.

One list of nodes by plain HTTP, page by page; see docs/decisions for why not by the client library.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from lifecycle.health.asking import Ask, CheckFailed, Config, ExpectedNode, Result
from lifecycle.health.fields import Shape, file, text, yes_no
from lifecycle.health.kubeconfig import Access, read_kubeconfig
from lifecycle.health.web import make_client, read_object, send
from machines.text import one_line

PAGE = 250
MAX_PAGES = 400
MAX_PAGE_BYTES = 32 * 1024 * 1024
"""A node with its list of images is 10 to 100 KiB."""
_TOLERANCE = re.compile(r"[0-9]{1,5}|(?:[0-9]|[1-9][0-9])%")


def _tolerance(value: object) -> str:
    is_fit = isinstance(value, str) and _TOLERANCE.fullmatch(value)
    return "" if is_fit else 'a count ("1") or per cent ("5%") is expected'


SHAPE = Shape(
    {
        "kubeconfig_file": file,
        "context": text(200),
        "allow_cordoned": yes_no,
        "allow_missing": yes_no,
        "max_not_ready": _tolerance,
    },
    required=("kubeconfig_file",),
)


@dataclass(frozen=True, slots=True)
class Node:
    """What counts of a node."""

    is_ready: bool
    is_cordoned: bool
    reason: str = ""


async def check(config: Config, ask: Ask) -> Result:
    """List the cluster's nodes and judge those of the policy's machines."""
    access = read_kubeconfig(ask, config["kubeconfig_file"], config.get("context", ""))
    return judge(await _list_nodes(access), ask.nodes, config)


async def _list_nodes(access: Access) -> dict[str, Node]:
    url, more = f"{access.server}/api/v1/nodes", ""
    found: dict[str, Node] = {}
    extensions = {"sni_hostname": access.server_name} if access.server_name else {}
    headers = {"Accept": "application/json", **access.headers}
    async with make_client(access.context, headers) as client:
        for _ in range(MAX_PAGES):
            page = await _page(client, url, more, extensions)
            found |= dict(map(_node, _items(page)))
            metadata = page.get("metadata")
            more = metadata.get("continue") or "" if isinstance(metadata, dict) else ""
            if not more:
                return found
    raise CheckFailed(f"more than {PAGE * MAX_PAGES} nodes")


async def _page(
    client: httpx.AsyncClient, url: str, more: str, extensions: Mapping[str, str]
) -> dict[str, Any]:
    query = {"limit": str(PAGE)} | ({"continue": more} if more else {})
    answer = await send(
        client, "GET", url, limit=MAX_PAGE_BYTES, params=query, extensions=extensions
    )
    if answer.status in (401, 403):
        raise CheckFailed(f"{url} answers {answer.status}: the gate's user may not list nodes")
    page = read_object(answer, url)
    if page.get("kind") != "NodeList":
        raise CheckFailed(f"{url} answers no list of nodes")
    return page


def _items(page: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    items = page.get("items")
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _node(item: Mapping[str, Any]) -> tuple[str, Node]:
    try:
        name = str(item["metadata"]["name"])
        conditions = item.get("status", {}).get("conditions") or []
        ready: Mapping[str, Any] = next((one for one in conditions if one["type"] == "Ready"), {})
        is_cordoned = bool((item.get("spec") or {}).get("unschedulable"))
        status = ready.get("status", "missing")
        reason = str(ready.get("reason") or f"Ready is {status}")
    except (LookupError, TypeError, AttributeError) as error:
        raise CheckFailed("the API server answers nodes of an unknown form") from error
    return name, Node(status == "True", is_cordoned, one_line(reason, 60))


def judge(nodes: Mapping[str, Node], expected: Sequence[ExpectedNode], config: Config) -> Result:
    """Whether enough of the expected nodes are there and Ready."""
    bad = []
    for machine in expected:
        why = _why_not(nodes, machine, config)
        if why:
            bad.append(f"{machine.machine}: {why}")
    allowed = _allowed(config.get("max_not_ready", "0"), len(expected))
    if not expected:
        return Result(True, "no node is expected now")
    if len(bad) <= allowed:
        ready = f"{len(expected) - len(bad)} of {len(expected)} nodes are Ready"
        return Result(True, ready + (f"; {bad[0]}" if bad else ""))
    more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
    tolerated = f"; {allowed} are tolerated" if allowed else ""
    return Result(False, f"{bad[0]}{more}{tolerated}")


def _why_not(nodes: Mapping[str, Node], machine: ExpectedNode, config: Config) -> str:
    node = next((nodes[name] for name in machine.names if name in nodes), None)
    if node is None:
        return "" if config.get("allow_missing", False) else "it is no node of the cluster"
    if not node.is_ready:
        return f"its node is not Ready ({node.reason})"
    if node.is_cordoned and not config.get("allow_cordoned", True):
        return "its node is cordoned"
    return ""


def _allowed(tolerance: str, total: int) -> int:
    """Rounded down: 5% of 10 nodes is none."""
    if tolerance.endswith("%"):
        return total * int(tolerance[:-1]) // 100
    return int(tolerance)
