"""One tree of errors; each knows its machine word (`kind`) and HTTP status.

The JSON shape `{"kind", "value"}` is the FleetLock protocol's error document
(https://coreos.github.io/zincati/development/fleetlock/protocol/#body-1); `fields` is added
where a document was readable but invalid.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class EngineError(Exception):
    """An expected failure that a caller can act on; never a bug.

    `value` is one human sentence, `fields` maps a path inside the sent document to its reason,
    `extra` are keys that old clients read beside `kind` and `value`, `headers` go on the answer.
    """

    kind = "error"
    status_code = 400

    def __init__(
        self,
        value: str,
        *,
        kind: str | None = None,
        status_code: int | None = None,
        fields: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(value)
        self.value = value
        self.kind = kind or self.kind
        self.status_code = status_code or self.status_code
        self.fields = dict(fields or {})
        self.extra = dict(extra or {})
        self.headers = dict(headers or {})

    def as_json(self) -> dict[str, Any]:
        """The answer's document: the old clients' keys first, then `kind`, `value`, `fields`."""
        document: dict[str, Any] = {**self.extra, "kind": self.kind, "value": self.value}
        if self.fields:
            document["fields"] = self.fields
        return document


class InvalidInput(EngineError):
    """The input cannot be taken; nothing was changed."""

    kind = "invalid_input"
    status_code = 400


class NotAcceptable(InvalidInput):
    """The 2018 project's status for a body that cannot be read or is invalid."""

    kind = "not_acceptable"
    status_code = 406


class NotFound(EngineError):
    """A named thing does not exist."""

    kind = "not_found"
    status_code = 404


class UnknownMachine(NotFound):
    """No machine has this MAC."""

    kind = "unknown_machine"


class Conflict(EngineError):
    """Somebody else was first, or the request contradicts what is stored."""

    kind = "conflict"
    status_code = 409


class IdentityConflict(Conflict):
    """The UUID and the MAC of one query belong to different machines."""

    kind = "identity_conflict"


class NotAuthenticated(EngineError):
    """An operator route without valid credentials."""

    kind = "not_authenticated"
    status_code = 401


class Forbidden(EngineError):
    """The caller is known, or its network is, and may not do this."""

    kind = "forbidden"
    status_code = 403


class BadGateway(EngineError):
    """matchbox was needed and did not answer."""

    kind = "matchbox_unreachable"
    status_code = 502


class Unavailable(EngineError):
    """Something behind the engine is away for now; asking again later helps."""

    kind = "unavailable"
    status_code = 503
