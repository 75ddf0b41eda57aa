"""What can go wrong in the lab, apart from what a driver says for itself."""

from __future__ import annotations


class LabFailed(Exception):
    """The lab could not do it; the text says what, why, and what helps."""
