"""Assets as a table of plain text. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_TITLES = ("PATH", "KIND", "VERSION", "SIZE", "STATE", "SIGNATURE", "USED BY", "ADDED")
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def asset_table(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A line of titles, then one per asset (as `ListedAsset.as_json` gives it), in columns."""
    if not rows:
        yield "there are no assets; `manage.py assets add FILE` adds one"
        return
    cells = [_TITLES, *(asset_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_TITLES))]
    for line in cells:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        yield "  ".join(padded).rstrip()


def human_size(size: int) -> str:
    """Bytes as people read them: `12 B`, `1.5 MiB`."""
    number, unit = float(size), 0
    while number >= 1024 and unit < len(_UNITS) - 1:
        number, unit = number / 1024, unit + 1
    return f"{size} B" if unit == 0 else f"{number:.1f} {_UNITS[unit]}"


def asset_titles() -> list[str]:
    """What stands above `asset_cells` on a page."""
    return [title.capitalize() for title in _TITLES]


def asset_cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """One asset's row, as text."""
    signature = row.get("signature") or {}
    return (
        row["path"],
        row["kind"],
        row.get("version") or "-",
        human_size(row["size"]),
        row["state"],
        signature.get("state", "-"),
        ", ".join(row["used_by"]) or "-",
        row.get("added_at", "-"),
    )
