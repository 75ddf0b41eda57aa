"""How numbers of things are said."""

from __future__ import annotations


def counted(number: int, one: str, many: str = "") -> str:
    """ "1 machine", "2 machines", "0 machines"; `many` is `one` with an s where it is not given."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"
