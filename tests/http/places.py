"""Every route with something plausible in each of its places, read from the URLconf."""

from __future__ import annotations

from enjoliver.engine.routes import Route, all_routes
from machines.tests.factories import mac_of, uuid_of

QUERY = f"uuid={uuid_of(1)}&mac={mac_of(1).replace(':', '-')}&os=installed"
PLACES = {
    "raw_query": QUERY,
    "role": "kubernetes-node",
    "status": "success",
    "uuid": uuid_of(1),
    "boot_id": uuid_of(-1),
    "name": "kubernetes-node",
    "path": "some/file",
    "number": "1",
    "other": "1",
    "plan_id": "1",
    "change_id": "1",
    "decision": "approve",
    "rule_role": "node",
    "machine": mac_of(1),
    "replacement_id": "1",
    "policy": "workers",
    "rollout": "1",
    "action": "pause",
    "freeze_id": "1",
}
"""A new placeholder needs a plausible value here: the tests say so."""

ROUTES = all_routes()
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")


def path_of(route: Route, **values: str) -> str:
    """The route's path with plausible values, or those given."""
    return route.path(**{name: values.get(name, PLACES[name]) for name in route.placeholders})


def asks(*, guarded: bool | None = None) -> list[tuple[str, Route]]:
    """(method, route) for every handler; `guarded`: only those that need an operator, or not."""
    return [
        (method, route)
        for route in ROUTES
        for method in route.methods
        if guarded is None or guarded == needs_operator(method, route)
    ]


def needs_operator(method: str, route: Route) -> bool:
    """True when the handler asks for an operator."""
    return method in getattr(route.view_class, "operator_methods", ())


def name(ask: tuple[str, Route]) -> str:
    """How a test is called in the report."""
    return f"{ask[0]} {ask[1].rule}"
