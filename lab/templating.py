"""Files that the lab writes for other programs, from the templates beside the code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def fill(template: str, folder: Path = Path(__file__).parent / "templates", **values: Any) -> str:
    """The text of a template; a value that it asks for and does not get is an error."""
    # No page for a browser: escaping of HTML would spoil the files.
    environment = Environment(  # noqa: S701
        loader=FileSystemLoader(folder), undefined=StrictUndefined, keep_trailing_newline=True
    )
    return environment.get_template(template).render(**values)
