"""What routes there are, read from the URLconf: for `/`, for OpenAPI and for the tests."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver
from django.utils.regex_helper import normalize

HIDDEN_PREFIXES = ("admin/", "static/")
"""The console and its files are pages for people, not routes of the API."""

_NAMED = re.compile(r"%\((\w+)\)s")


@dataclass(frozen=True, slots=True)
class Route:
    """One route: `template` has `%(name)s` for what varies, `view` is the callable behind it."""

    template: str
    view: Callable[..., Any]

    @property
    def rule(self) -> str:
        """As `/` lists it, in the 2018 project's words: `/scheduler/<string:role>`."""
        return _NAMED.sub(r"<string:\1>", self.template).replace("%%", "%")

    @property
    def openapi_path(self) -> str:
        """As OpenAPI writes it: `/scheduler/{role}`."""
        return _NAMED.sub(r"{\1}", self.template).replace("%%", "%")

    @property
    def placeholders(self) -> list[str]:
        """The names of what varies, in order."""
        return _NAMED.findall(self.template)

    @property
    def view_class(self) -> type | None:
        """The class behind a class-based view, else None."""
        return getattr(self.view, "cls", None) or getattr(self.view, "view_class", None)

    @property
    def methods(self) -> list[str]:
        """The methods that the view defines, without HEAD and OPTIONS."""
        names = ("get", "post", "put", "patch", "delete")
        return [name.upper() for name in names if hasattr(self.view_class, name)]

    def path(self, **values: str) -> str:
        """The path with `values` in the places of the placeholders (not quoted)."""
        return self.template % values


def all_routes(patterns: Sequence[URLPattern | URLResolver] | None = None) -> list[Route]:
    """Every route of the API, sorted by rule; the console and static files are left out."""
    found = patterns if patterns is not None else get_resolver().url_patterns
    routes = {route.rule: route for route in _walk(found, [""])}
    return [routes[rule] for rule in sorted(routes)]


def _walk(patterns: Sequence[URLPattern | URLResolver], prefixes: list[str]) -> Iterator[Route]:
    """Django's own `reverse()` reads regexes with `normalize` too: optional groups give a shape
    each, quantifiers count as their smallest number, so an optional trailing slash vanishes.
    """
    for pattern in patterns:
        shapes = [shape for shape, _ in normalize(pattern.pattern.regex.pattern)]
        full = [prefix + shape for prefix in prefixes for shape in shapes]
        if any(path.startswith(HIDDEN_PREFIXES) for path in full):
            continue
        if isinstance(pattern, URLResolver):
            yield from _walk(pattern.url_patterns, full)
        else:
            for path in full:
                yield Route("/" + path.rstrip("/"), pattern.callback)
