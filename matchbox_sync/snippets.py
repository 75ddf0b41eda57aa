"""Snippets: one small Butane document per component, with its bodies beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


class ComposeError(Exception):
    """A profile cannot be composed; the message names the profile and the snippet(s)."""


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
