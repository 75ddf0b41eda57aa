"""Snippets: one small Butane document per component, with its bodies beside it.

`snippets/<component>/snippet.yaml` is a Jinja2 template of a YAML document; the bodies that it
names (`contents: {local: files/etc/hosts}`, `contents_local: units/x.service`, as Butane has it)
are Jinja2 templates of text. `profiles/<profile>.yaml` lists the components of a profile.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matchbox_sync.marks import Marked
from matchbox_sync.templating import (
    ComposeError,
    load_yaml,
    read_text,
    render_body,
    render_document,
)

__all__ = ["Component", "ComposeError", "Snippet", "SnippetLibrary"]

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}", re.ASCII)
_BODIES = {"local": "inline", "contents_local": "contents"}
"""Butane's keys that name a file of the snippet, and the keys that hold its text instead."""


@dataclass(frozen=True, slots=True)
class Component:
    """One entry of a profile; `when` names the boolean value that switches it, "" for always."""

    name: str
    when: str = ""


@dataclass(frozen=True, slots=True)
class Snippet:
    """One component's part of a document: Butane data (texts may be Marked) and boot data."""

    name: str
    butane: dict[str, Any]
    boot: dict[str, Any]


@dataclass(frozen=True, slots=True)
class SnippetLibrary:
    """Where components and profiles are found; later directories replace earlier ones."""

    roots: tuple[Path, ...]

    @classmethod
    def from_directories(cls, snippets: Path, site: str | Path = "") -> SnippetLibrary:
        """Our own library (`profiles/` stands beside `snippets`), with a site's laid over it.

        `site` has the same layout: `snippets/<component>/` and `profiles/<profile>.yaml`. Raises
        ComposeError when it is given and is no directory.
        """
        if site and not Path(site).is_dir():
            raise ComposeError(f"ENJOLIVER_TEMPLATES: {site} is not a directory")
        return cls((snippets.parent, *([Path(site)] if site else [])))

    def components(self, profile: str) -> tuple[Component, ...]:
        """The components of `profile` in order; raises ComposeError.

        A site's `profiles/<profile>.yaml` replaces ours when it has `components`, and adds to
        ours what it has under `add`.
        """
        files = [root / "profiles" / f"{profile}.yaml" for root in self.roots]
        present = [file for file in files if file.is_file()]
        if not present:
            raise ComposeError(f"there is no profiles/{profile}.yaml")
        entries: list[Any] = []
        for file in present:
            document = load_yaml(read_text(file), str(file))
            if not isinstance(document, dict) or document.keys() - {"components", "add"}:
                raise ComposeError(f"{file}: expected `components` or `add`, and nothing else")
            entries = [*(document.get("components") or entries), *(document.get("add") or [])]
        return tuple(_component(entry) for entry in entries)

    def snippet(self, name: str, context: Mapping[str, Any]) -> Snippet:
        """Render the component `name` with `context`; raises ComposeError."""
        folder = self._folder(name)
        document = render_document(folder / "snippet.yaml", context)
        boot = document.pop("boot", {})
        if not isinstance(boot, dict):
            raise ComposeError(f"{folder / 'snippet.yaml'}: boot: expected a mapping")
        return Snippet(name, _with_bodies(document, folder, context), boot)

    def _folder(self, name: str) -> Path:
        for root in reversed(self.roots):
            folder = root / "snippets" / name
            if (folder / "snippet.yaml").is_file():
                return folder
        raise ComposeError(f"there is no snippets/{name}/snippet.yaml")


def _component(entry: Any) -> Component:
    fields = {"name": entry} if isinstance(entry, str) else entry
    if (
        not isinstance(fields, dict)
        or not {"name"} <= fields.keys() <= {"name", "when"}
        or not all(isinstance(value, str) for value in fields.values())
        or not _NAME.fullmatch(fields["name"])
    ):
        raise ComposeError(f"{entry!r} is no component: expected a name, or {{name, when}}")
    return Component(**fields)


def _with_bodies(tree: Any, folder: Path, context: Mapping[str, Any]) -> Any:
    """Put the text of each named body in its place."""
    if isinstance(tree, list):
        return [_with_bodies(item, folder, context) for item in tree]
    if not isinstance(tree, dict):
        return tree
    return {
        _BODIES.get(key, key): _body(value, folder, context)
        if key in _BODIES
        else _with_bodies(value, folder, context)
        for key, value in tree.items()
    }


def _body(name: Any, folder: Path, context: Mapping[str, Any]) -> str | Marked:
    try:
        path = (folder / name).resolve()
    except (TypeError, ValueError, OSError):  # no text, or none that a file can be called
        path = Path("/")
    if not path.is_relative_to(folder.resolve()):
        raise ComposeError(f"{folder / 'snippet.yaml'}: {name!r} is no body of this snippet")
    return render_body(path, context)
