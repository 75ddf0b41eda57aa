"""Compose a profile: snippets merged as data into one Butane template with Go marks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from matchbox_sync.metadata import EngineFacts
from matchbox_sync.snippets import ComposeError, SnippetLibrary

__all__ = ["BootPart", "ComposeError", "ComposedProfile", "compose_profile"]


@dataclass(frozen=True, slots=True)
class BootPart:
    """What iPXE loads: a matchbox profile's `boot` (its `cmdline` map is ignored since v0.9)."""

    kernel: str
    initrd: tuple[str, ...]
    args: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        """As it stands in a matchbox profile."""
        return {"kernel": self.kernel, "initrd": list(self.initrd), "args": list(self.args)}


@dataclass(frozen=True, slots=True)
class ComposedProfile:
    """One profile's content: deterministic for the same snippets, values and engine facts.

    `marks` are the metadata keys that the template uses, dotted (`network.ip`).
    """

    name: str
    template: str
    boot: BootPart
    fingerprint: str
    paths: frozenset[str]
    units: frozenset[str]
    marks: frozenset[str] = frozenset()


def compose_profile(
    profile: str, *, values: Mapping[str, Any], engine: EngineFacts, snippets: SnippetLibrary
) -> ComposedProfile:
    """Compose `profile` from its components; raises ComposeError."""
    raise NotImplementedError
