"""The private matchbox: the real program on a scratch directory, asked for a few groups at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from matchbox_sync.compose import ComposedProfile


@dataclass(frozen=True, slots=True)
class ScratchGroup:
    """One group to render; `mac` None is a group without selector (discovery)."""

    key: str
    mac: str | None
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rendered:
    """What matchbox answered: /ignition, the text before Butane (/generic), and /ipxe."""

    ignition: bytes
    butane: bytes
    ipxe: bytes


@dataclass(frozen=True, slots=True)
class RenderFailure:
    """Why there is no answer; `message` carries matchbox's log line where there is one."""

    stage: str
    message: str


class PrivateMatchbox:
    """Context manager; the process starts at the first render and dies with its parent."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def render(
        self, profile: ComposedProfile, groups: Sequence[ScratchGroup]
    ) -> dict[str, Rendered | RenderFailure]:
        """Render `groups` under `profile`; the answers by group key. Never raises for a group."""
        raise NotImplementedError
