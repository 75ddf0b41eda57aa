"""Neighbours on the wire, as lldpd knows them (`lldpcli show neighbors -f json`).

lldpd has two JSON forms. `json` keys interfaces and chassis by their names, and writes an object
where there is one and a list where there are several; a chassis without name stands there without
such a key. `json0` writes lists everywhere. Both are read.
https://github.com/lldpd/lldpd/blob/master/src/client/json_writer.c
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agent.facts.sources import Sources
from agent.facts.text import clean, load_json, rows

_COMMAND = ["lldpcli", "show", "neighbors", "details", "-f", "json"]


@dataclass(frozen=True, slots=True)
class Neighbour:
    """What is at the other end of one interface."""

    interface: str
    chassis_id: str
    port_id: str
    chassis_name: str = ""


def parse(text: str) -> list[Neighbour]:
    """One neighbour per interface, the first that names chassis and port."""
    document = load_json(text)
    found: dict[str, Neighbour] = {}
    for top in rows(document):
        for lldp in rows(top.get("lldp")):
            for name, link in _links(lldp.get("interface")):
                neighbour = _neighbour(name, link)
                if neighbour.interface and neighbour.chassis_id and neighbour.port_id:
                    found.setdefault(neighbour.interface, neighbour)
    return list(found.values())


def _links(value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for item in rows(value):
        if isinstance(item.get("name"), str):
            yield item["name"], item
        else:
            yield from ((str(name), link) for name, part in item.items() for link in rows(part))


def _neighbour(name: str, link: dict[str, Any]) -> Neighbour:
    chassis_name, chassis = _chassis(link.get("chassis"))
    port = next(iter(rows(link.get("port"))), {})
    return Neighbour(
        interface=clean(name, 64),
        chassis_id=_value(chassis.get("id"), 128),
        port_id=_value(port.get("id"), 128),
        chassis_name=_value(chassis.get("name"), 255) or chassis_name,
    )


def _chassis(value: Any) -> tuple[str, dict[str, Any]]:
    """The chassis' object, and its name when that is the key it stands under."""
    for item in rows(value):
        if "id" in item:
            return "", item
        for name, part in item.items():
            for chassis in rows(part):
                if "id" in chassis:
                    return clean(name, 255), chassis
    return "", {}


def _value(value: Any, limit: int) -> str:
    """A text, the `value` of an object, or that of the first object of a list."""
    if isinstance(value, str):
        return clean(value, limit)
    return next((clean(item.get("value"), limit) for item in rows(value)), "")


def read(sources: Sources) -> list[Neighbour]:
    """The neighbours known now; lldpd needs up to half a minute after a start."""
    return parse(sources.program("lldp.json", _COMMAND))


def is_spoken(sources: Sources) -> bool:
    """Whether lldpd runs here, so that a neighbour may still be heard."""
    return bool(sources.program("lldp.json", _COMMAND).strip())
