"""Lists of where machines stand: CSV files and JSON rows. Pure."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from typing import Any

from enjoliver.common.errors import InvalidInput
from machines.text import has_control_characters
from machines.topology import LEVELS, MAX_NAME_LENGTH, Location, normalise_key

COLUMNS = ("machine", *(level.value for level in LEVELS))
MAX_ROWS = 100_000
_MAX_PROBLEMS = 20


def parse_csv(text: str) -> dict[str, Location]:
    """Read a CSV file whose first line names its columns (`machine` and at least one level).

    Returns locations by machine key. Raises InvalidInput with the lines and their reasons; then
    nothing of it can be used.
    """
    reader = csv.DictReader(text.lstrip("\ufeff").splitlines(), strict=True, restkey="")
    try:
        columns = [name.strip().lower() for name in reader.fieldnames or ()]
        _check_columns(columns)
        reader.fieldnames = columns
        return parse_rows(reader, first=2, word="line")
    except csv.Error as error:
        raise InvalidInput(f"line {reader.line_num}: {error}") from error


def parse_rows(rows: Iterable[Any], *, first: int = 0, word: str = "row") -> dict[str, Location]:
    """Read rows of `machine` and levels; `first` and `word` are for the reasons."""
    places: dict[str, Location] = {}
    problems: dict[str, str] = {}
    for number, row in enumerate(rows, start=first):
        if number - first >= MAX_ROWS:
            raise InvalidInput(f"at most {MAX_ROWS} rows at once")
        problem = _find_problem(row, places)
        if problem:
            problems[f"{word} {number}"] = problem
        else:
            names = (str(row.get(level.value) or "").strip() for level in LEVELS)
            places[normalise_key(row["machine"])] = Location(*names)
        if len(problems) == _MAX_PROBLEMS:
            break
    if problems:
        sentence = "; ".join(f"{where}: {reason}" for where, reason in problems.items())
        raise InvalidInput(sentence[:1000], kind="invalid_locations", fields=problems)
    return places


def format_csv(places: Mapping[str, Location]) -> str:
    """The file that reads back to `places`."""
    lines = [",".join(COLUMNS)]
    for key, place in places.items():
        names = (getattr(place, level) for level in LEVELS)
        lines.append(",".join(_quoted(text) for text in (key, *names)))
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\n') else text


def _check_columns(columns: list[str]) -> None:
    unknown = [name for name in columns if name not in COLUMNS]
    if unknown or "machine" not in columns or len(columns) < 2:
        raise InvalidInput(
            f"line 1: the columns are machine and some of {', '.join(COLUMNS[1:])}"
            + (f", not {unknown[0][:40]!r}" if unknown else "")
        )
    if len(set(columns)) != len(columns):
        raise InvalidInput("line 1: a column stands there twice")


def _find_problem(row: object, places: Mapping[str, Location]) -> str:
    if not isinstance(row, Mapping):
        return "an object is expected"
    unknown = [str(name) for name in row if name not in COLUMNS]
    if unknown:
        return f"unknown column {unknown[0][:40]!r}" if unknown[0] else "too many columns"
    for name in COLUMNS:
        value = row.get(name)
        if value is not None and not isinstance(value, str):
            return f"{name}: a text is expected"
        longest = 253 if name == "machine" else MAX_NAME_LENGTH
        if value and (len(value.strip()) > longest or has_control_characters(value)):
            return f"{name}: at most {longest} characters on one line"
    key = normalise_key(row.get("machine") or "")
    if not key:
        return "machine: a MAC, UUID, serial number or name is needed"
    return f"machine: {key} stands there twice" if key in places else ""
