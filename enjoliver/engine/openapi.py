"""OpenAPI 3 over all routes: their plain paths, and what every route has in common."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema

from enjoliver.common.http import OperatorView
from enjoliver.engine.routes import all_routes

ERROR = {
    "type": "object",
    "required": ["kind", "value"],
    "properties": {
        "kind": {"type": "string", "description": "A machine word."},
        "value": {"type": "string", "description": "One sentence for people."},
        "fields": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}
SECURITY_SCHEMES = {
    "basicAuth": {"type": "http", "scheme": "basic"},
    "tokenAuth": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "`Authorization: Token <token>`",
    },
    "cookieAuth": {"type": "apiKey", "in": "cookie", "name": "sessionid"},
}


class EngineSchema(AutoSchema):
    """Adds the error shape to every operation, and the credentials where an operator is needed."""

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        """One operation's document; None when the view hides itself."""
        operation: dict[str, Any] | None = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        operation["operationId"] += self._alias_suffix()
        operation["responses"].setdefault(
            "default",
            {
                "description": "An error.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
            },
        )
        if isinstance(self.view, OperatorView) and self.method in self.view.operator_methods:
            operation["security"] = [{name: []} for name in SECURITY_SCHEMES]
        return operation

    def _alias_suffix(self) -> str:
        """Ids are unique: the further paths of one view get the path's words behind its id."""
        mine = [route for route in all_routes() if route.view_class is type(self.view)]
        if self.path not in [route.openapi_path for route in mine[1:]]:
            return ""
        return "_" + "_".join(re.findall("[a-z0-9]+", self.path.lower()))


def plain_paths(endpoints: list[tuple[str, str, str, Any]]) -> list[tuple[str, str, str, Any]]:
    """Preprocessing hook: each view under its paths as `/` lists them, without optional slash."""
    paths: dict[Any, list[str]] = {}
    for route in all_routes():
        paths.setdefault(route.view, []).append(route.openapi_path)
    return [
        (path, regex, method, view)
        for _, regex, method, view in endpoints
        for path in paths.get(view, [])
    ]


def common_components(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Postprocessing hook: the components that `EngineSchema` refers to."""
    components = result.setdefault("components", {})
    components.setdefault("schemas", {})["Error"] = ERROR
    components.setdefault("securitySchemes", {}).update(SECURITY_SCHEMES)
    return result


@lru_cache(maxsize=1)
def openapi_document() -> dict[str, Any]:
    """The OpenAPI document of the running code; made once a process, it costs about a second."""
    document: dict[str, Any] = SchemaGenerator().get_schema(  # type: ignore[no-untyped-call]
        request=None, public=True
    )
    return document
