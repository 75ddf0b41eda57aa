"""Keeping health gates: as a part of a policy's document, or one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import IntegrityError, transaction

from enjoliver.common.errors import Conflict, InvalidInput
from lifecycle.health import check_config
from lifecycle.models import HealthGate, HealthGateKind, HealthGateState, RollingPolicy
from machines.services import record_event

Document = dict[str, Any]
_NUMBERS = {
    "timeout_seconds": (1, 30),
    "interval_seconds": (5, 3600),
    "healthy_after": (1, 20),
    "unhealthy_after": (1, 20),
}
_FIELDS = ("name", "kind", "config", *_NUMBERS, "is_enabled")
MAX_GATES = 20


def gate_document(gate: HealthGate) -> Document:
    """A gate as `apply_gates` takes it."""
    return {name: getattr(gate, name) for name in _FIELDS} | {"kind": str(gate.kind)}


def gate_documents(policy: RollingPolicy) -> list[Document]:
    """The gates of a policy, by name; none of a policy that is not stored yet."""
    found = [] if policy.pk is None else map(gate_document, policy.health_gates.all())
    return sorted(found, key=_name_of)


def complete_gates(documents: object) -> object:
    """The documents with the defaults of what they leave out; what is none stays as it is."""
    if not isinstance(documents, list):
        return documents
    blank = gate_document(HealthGate())
    return [blank | dict(one) if isinstance(one, Mapping) else one for one in documents]


def _name_of(document: object) -> str:
    return str(document.get("name", "")) if isinstance(document, Mapping) else ""


def check_gates(documents: object, field: str = "health_gates") -> dict[str, str]:
    """What is wrong with a list of complete documents, by field: `health_gates.0.config.url`."""
    if not isinstance(documents, list) or len(documents) > MAX_GATES:
        return {field: f"a list of at most {MAX_GATES} is expected"}
    problems = {}
    for number, document in enumerate(documents):
        for name, why in check_gate(document).items():
            problems[f"{field}.{number}.{name}".rstrip(".")] = why
    names = [_name_of(document) for document in documents]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice and not problems:
        problems[field] = f"two gates are called {twice[0]}"
    return problems


def check_gate(document: object) -> dict[str, str]:
    """What is wrong with one complete document, by field."""
    if not isinstance(document, Mapping):
        return {"": "an object is expected"}
    problems = {str(key)[:64]: f"unknown; known: {', '.join(_FIELDS)}" for key in document}
    problems = {key: why for key, why in problems.items() if key not in _FIELDS}
    name = document["name"]
    if not isinstance(name, str) or not 0 < len(name) <= 40 or not name.isprintable():
        problems["name"] = "1 to 40 printable characters"
    for field, (least, most) in _NUMBERS.items():
        value = document[field]
        if type(value) is not int or not least <= value <= most:
            problems[field] = f"a whole number from {least} to {most} is expected"
    if not isinstance(document["is_enabled"], bool):
        problems["is_enabled"] = "true or false is expected"
    if not problems and document["timeout_seconds"] > document["interval_seconds"]:
        problems["timeout_seconds"] = "not longer than interval_seconds"
    return problems | _check_kind(document)


def _check_kind(document: Mapping[str, Any]) -> dict[str, str]:
    kind = document["kind"]
    if kind not in HealthGateKind.values:
        return {"kind": f"one of {', '.join(HealthGateKind.values)}"}
    found = check_config(kind, document["config"])
    return {f"config.{name}".rstrip("."): why for name, why in found.items()}


def apply_gates(*, policy: RollingPolicy, documents: Sequence[Mapping[str, Any]]) -> None:
    """Make the gates of a stored policy what the (complete, checked) documents say. In the
    caller's transaction, who records the change of the policy as a whole.

    A gate that changed has no result any more, so it holds up machines until it is checked again.
    """
    before = {gate.name: gate for gate in HealthGate.objects.filter(policy=policy)}
    wanted = {document["name"]: document for document in documents}
    HealthGate.objects.filter(policy=policy, name__in=set(before) - set(wanted)).delete()
    for name, document in wanted.items():
        gate = before.get(name) or HealthGate(policy=policy)
        if gate.pk is None or gate_document(gate) != document:
            _store(gate, document)


def _store(gate: HealthGate, document: Mapping[str, Any]) -> None:
    values = {name: document[name] for name in _FIELDS}
    for name, value in values.items():
        setattr(gate, name, value)
    if gate._state.adding:
        gate.save()
    elif not HealthGate.objects.filter(pk=gate.pk).update(**values):
        raise Conflict(f"the health gate {gate} was removed just now")
    # A check that is under way writes nothing then: it asked what the gate no longer asks.
    HealthGateState.objects.filter(gate=gate).delete()


def set_health_gate(
    *,
    policy: RollingPolicy,
    document: Mapping[str, Any],
    actor: str,
    gate: HealthGate | None = None,
) -> HealthGate:
    """Make or change one gate. Raises InvalidInput that names the fields, or Conflict when the
    policy has another gate of that name."""
    whole = gate_document(gate or HealthGate()) | dict(document)
    problems = check_gate(whole)
    if problems:
        sentence = "; ".join(f"{field}: {reason}" for field, reason in problems.items())
        raise InvalidInput(sentence[:2000], kind="invalid_health_gate", fields=problems)
    if gate and gate_document(gate) == whole:
        return gate
    verb = "changed" if gate else "added"
    try:
        with transaction.atomic():
            stored = gate or HealthGate(policy=policy)
            _store(stored, whole)
            _record(policy, stored.name, verb, actor)
    except IntegrityError as error:
        raise Conflict(f"{policy} has another health gate called {whole['name']}") from error
    return stored


def remove_health_gate(*, gate: HealthGate, actor: str) -> None:
    """Take a gate away: it holds up nobody any more."""
    with transaction.atomic():
        policy, name = gate.policy, gate.name
        gate.delete()
        _record(policy, name, "removed", actor)


def _record(policy: RollingPolicy, name: str, verb: str, actor: str) -> None:
    message = f"Health gate {name} of policy {policy} is {verb}."
    record_event(kind="policy_changed", message=message, actor=actor)


def advise_gates(documents: Sequence[Mapping[str, Any]]) -> list[str]:
    """What an operator should know about gates that can be kept, in whole sentences."""
    off = [one["name"] for one in documents if not one["is_enabled"]]
    return [f"The health gate {name} is disabled: it holds up nothing." for name in off]
