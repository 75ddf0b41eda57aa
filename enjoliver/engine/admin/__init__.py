"""The console's pages that belong to no app: operators, their tokens, what they changed."""

from enjoliver.engine.admin import log, operators, parts

__all__ = ["log", "operators", "parts"]
