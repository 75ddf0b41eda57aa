"""The document of POST /scheduler: what an operator asks for. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from enjoliver.common.errors import InvalidInput, NotAcceptable
from enjoliver.common.rawquery import MachineQuery, query_from_params
from scheduling.roles import RoleName

USAGE: dict[str, Any] = {"roles": list(RoleName.values), "selector": {"mac": ""}}
"""What old clients get with every 406: the document's form, with all roles."""


@dataclass(frozen=True, slots=True)
class RoleRequest:
    """Roles for the machine that `query` names; the list may be empty."""

    roles: tuple[str, ...]
    query: MachineQuery


def unacceptable(reason: str, **fields: str) -> NotAcceptable:
    """The 406 with the usage keys."""
    return NotAcceptable(reason, fields=fields, extra=USAGE)


def parse_role_request(document: object) -> RoleRequest:
    """Read the parsed JSON; raises NotAcceptable that names the key and the reason.

    Further keys are tolerated. `selector.uuid` may stand beside `selector.mac`.
    """
    if not isinstance(document, dict):
        raise unacceptable("an object with `roles` and `selector` is expected")
    roles, selector = document.get("roles"), document.get("selector")
    if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
        raise unacceptable("roles: a list of role names is expected", roles="a list of texts")
    if not isinstance(selector, dict):
        raise unacceptable("selector: an object with `mac` is expected", selector="an object")
    unknown = sorted({role for role in roles if role not in RoleName.values})
    if unknown:
        known = ", ".join(RoleName.values)
        raise NotAcceptable(
            f"roles: {unknown[0][:64]!r} is unknown; the roles are {known}",
            kind="unknown_role",
            fields={"roles": f"each one of {known}"},
            extra=USAGE,
        )
    return RoleRequest(tuple(roles), _parse_selector(selector))


def _parse_selector(selector: dict[str, Any]) -> MachineQuery:
    params = {}
    for name in ("mac", "uuid"):
        value = selector.get(name, "")
        if not isinstance(value, str):
            raise unacceptable(f"selector.{name}: text is expected", **{f"selector.{name}": "text"})
        params[name] = value
    try:
        return query_from_params("", params)
    except InvalidInput as error:
        fields = {f"selector.{name}": reason for name, reason in error.fields.items()}
        reason = "; ".join(f"{name}: {text}" for name, text in fields.items())
        raise unacceptable(reason, **fields) from error
