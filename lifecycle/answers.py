"""Answers to "why is nothing happening?"."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """One main sentence, and what else is worth knowing, line by line."""

    sentence: str
    details: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """As the API gives it."""
        return {"answer": self.sentence, "details": self.details}


def shown(moment: datetime | None) -> str:
    """A time in a sentence."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else "an unknown time"
