"""Documents of the Kubernetes API and kubeconfigs, for tests."""

from __future__ import annotations

import json
from typing import Any

import yaml


def node(name: str, ready: str = "True", cordoned: bool = False) -> dict[str, Any]:
    """A node as the API shows it, shortened."""
    reason = "KubeletReady" if ready == "True" else "KubeletNotReady"
    conditions = [
        {"type": "MemoryPressure", "status": "False", "reason": "KubeletHasSufficientMemory"},
        {"type": "Ready", "status": ready, "reason": reason},
    ]
    spec = {"unschedulable": True} if cordoned else {}
    return {"metadata": {"name": name}, "spec": spec, "status": {"conditions": conditions}}


def node_list(nodes: list[dict[str, Any]], more: str = "") -> bytes:
    """One page of them."""
    metadata = {"resourceVersion": "1"} | ({"continue": more} if more else {})
    document = {"kind": "NodeList", "apiVersion": "v1", "metadata": metadata, "items": nodes}
    return json.dumps(document).encode()


def kubeconfig(
    server: str,
    token: str = "",
    user: dict[str, Any] | None = None,
    cluster: dict[str, Any] | None = None,
) -> str:
    """A kubeconfig with one context, `only`."""
    who = ({"token": token} if token else {}) | (user or {})
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "only",
            "contexts": [{"name": "only", "context": {"cluster": "one", "user": "me"}}],
            "clusters": [{"name": "one", "cluster": {"server": server} | (cluster or {})}],
            "users": [{"name": "me", "user": who}],
        }
    )
