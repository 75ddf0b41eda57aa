"""What a check gets and gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Config = Mapping[str, Any]


class CheckFailed(Exception):
    """The check ends here with a bad result; the text is for the operator."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one check found, in one sentence."""

    is_good: bool
    message: str


@dataclass(frozen=True, slots=True)
class ExpectedNode:
    """A machine whose Kubernetes node should be there and Ready, and the names it may have."""

    machine: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ask:
    """One check: of which gate, how long it may take, where its files and programs lie.

    `commands` is None where commands are off. `nodes` is for the kind kubernetes only.
    """

    policy: str
    gate: str
    seconds: float
    files: Path
    commands: Path | None = None
    nodes: tuple[ExpectedNode, ...] = field(default=())
