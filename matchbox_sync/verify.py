"""Verify what matchbox rendered before anybody gets it."""

from __future__ import annotations

from matchbox_sync.compose import ComposedProfile
from matchbox_sync.renderer import Rendered


class VerifyError(Exception):
    """A rendered config is not what the template says; the message says what, and where."""


def check_rendered(profile: ComposedProfile, rendered: Rendered) -> None:
    """Check one rendered config against its profile; raises VerifyError."""
    raise NotImplementedError


def check_strict(rendered: Rendered) -> None:
    """Check the text before Butane with `butane --strict`; raises VerifyError."""
    raise NotImplementedError
