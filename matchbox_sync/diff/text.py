"""Differences of two texts: with context for people, without for grouping. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache

CONTEXT_LINES = 3
MAX_LINES = 10_000
"""Longer texts are compared by digest only: comparing them line by line takes too long."""

NO_NEWLINE = "\\ no newline at the end"
_NOT_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
Opcode = tuple[str, int, int, int, int]


@dataclass(frozen=True, slots=True)
class TextDiff:
    """`unified`: lines that begin with `@@`, blank, `-` or `+`; `hunks`: `-` and `+` only, each
    hunk after an empty line, so that what stands around it does not matter."""

    unified: tuple[str, ...]
    hunks: tuple[str, ...]


def read_text(content: bytes | None) -> str | None:
    """The text in `content`; None when it is no text, or too long to be compared by line."""
    try:
        text = (content or b"").decode()
    except UnicodeDecodeError:
        return None
    return None if _NOT_TEXT.search(text) or text.count("\n") > MAX_LINES else text


@lru_cache(maxsize=512)
def diff_texts(before: str, after: str) -> TextDiff:
    """Compare by line. Cached: bodies without marks are the same for all machines of a role."""
    old, new = _split(before, after)
    opcodes = _opcodes(old, new)
    return TextDiff(
        unified=tuple(_unified(old, new, opcodes)), hunks=tuple(_hunks(old, new, opcodes))
    )


def _split(before: str, after: str) -> tuple[list[str], list[str]]:
    """Both as lines. A missing last newline is a line of its own when only one of them has it."""
    ends = [bool(text) and not text.endswith("\n") for text in (before, after)]
    sides = []
    for text, is_open in zip((before, after), ends, strict=True):
        lines = text.split("\n")
        if not is_open:
            lines.pop()
        if is_open and ends[0] != ends[1]:
            lines.append(NO_NEWLINE)
        sides.append(lines)
    return sides[0], sides[1]


def _opcodes(old: Sequence[str], new: Sequence[str]) -> list[Opcode]:
    """As SequenceMatcher's, but what is equal at both ends costs nothing."""
    limit = min(len(old), len(new))
    head = next((i for i in range(limit) if old[i] != new[i]), limit)
    limit -= head
    tail = next((i for i in range(limit) if old[-1 - i] != new[-1 - i]), limit)
    old_end, new_end = len(old) - tail, len(new) - tail
    matcher = SequenceMatcher(None, old[head:old_end], new[head:new_end], autojunk=False)
    middle = [
        (tag, i1 + head, i2 + head, j1 + head, j2 + head)
        for tag, i1, i2, j1, j2 in matcher.get_opcodes()
    ]
    first = [("equal", 0, head, 0, head)] if head else []
    last = [("equal", old_end, len(old), new_end, len(new))] if tail else []
    return [*first, *middle, *last]


def _hunks(old: Sequence[str], new: Sequence[str], opcodes: Sequence[Opcode]) -> Iterator[str]:
    for tag, i1, i2, j1, j2 in opcodes:
        if tag != "equal":
            yield ""
            yield from _changed(old[i1:i2], new[j1:j2])


def _changed(old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    yield from (f"-{line}" for line in old)
    yield from (f"+{line}" for line in new)


def _unified(old: Sequence[str], new: Sequence[str], opcodes: Sequence[Opcode]) -> Iterator[str]:
    for group in _grouped(opcodes):
        i1, i2, j1, j2 = group[0][1], group[-1][2], group[0][3], group[-1][4]
        yield f"@@ -{_range(i1, i2)} +{_range(j1, j2)} @@"
        for tag, i, i_end, j, j_end in group:
            if tag == "equal":
                yield from (f" {line}" for line in old[i:i_end])
            else:
                yield from _changed(old[i:i_end], new[j:j_end])


def _range(start: int, end: int) -> str:
    """As in diff(1): a range of no lines names the line before it."""
    count = end - start
    return f"{start + 1}" if count == 1 else f"{start + bool(count)},{count}"


def _grouped(opcodes: Sequence[Opcode]) -> Iterator[list[Opcode]]:
    """Changes with the equal lines around them; those that are far from each other are apart."""
    group: list[Opcode] = []
    for place, (tag, i1, i2, j1, j2) in enumerate(opcodes):
        if tag != "equal":
            group.append((tag, i1, i2, j1, j2))
            continue
        is_last = place == len(opcodes) - 1
        kept = min(i2 - i1, CONTEXT_LINES)
        if group and not is_last and i2 - i1 <= 2 * CONTEXT_LINES:
            group.append((tag, i1, i2, j1, j2))
            continue
        if group:
            yield [*group, (tag, i1, i1 + kept, j1, j1 + kept)]
        group = [] if is_last else [(tag, i2 - kept, i2, j2 - kept, j2)]
    if group:
        yield group
