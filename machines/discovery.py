"""The discovery document: read from JSON into facts, or refused with all its faults. Pure.

Its keys are those of the 2018 project's agent; `model`, `serial`, `rotational` of a disk and the
top-level `hardware` are new and optional. Unknown keys are kept as they are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from enjoliver.common.addresses import normalise_mac
from enjoliver.common.errors import NotAcceptable
from machines.documents import BIGINT, ObjectReader, Problems, storable, storable_text
from machines.interfaces import read_interfaces
from machines.report import (
    DiscoveryReport,
    DiskFacts,
    HardwareFacts,
    LldpFacts,
    as_document,
)

__all__ = ["USAGE", "DiscoveryReport", "cut_journal", "parse_report", "unreadable"]

USAGE: dict[str, Any] = {"boot-info": {}, "interfaces": [], "disks": [], "lldp": {}}
"""What the 2018 project answered with 406: its clients read these keys."""

MAX_DISKS = 1024
MAX_NEIGHBOURS = 4096
MAX_FACTS_BYTES = 256 * 1024
MAX_JOURNAL_LINES = 2000
MAX_JOURNAL_BYTES = 256 * 1024
MAX_LINE = 4096


def unreadable(value: str, fields: dict[str, str] | None = None) -> NotAcceptable:
    """The refusal (406) of a document that is not even of the right form."""
    return NotAcceptable(value, kind="unreadable_report", fields=fields, extra=USAGE)


def parse_report(document: Any) -> DiscoveryReport:
    """Read a parsed JSON value as a discovery document.

    Raises NotAcceptable (406) with the four usage keys; `fields` maps each faulty path
    (`interfaces[1].mac`) to the reason.
    """
    _check_form(document)
    problems = Problems()
    report = _read(document, problems)
    if problems:
        raise NotAcceptable(
            "the discovery document is invalid: "
            + "; ".join(f"{path}: {reason}" for path, reason in list(problems.items())[:3]),
            kind="invalid_report",
            fields=problems,
            extra=USAGE,
        )
    return report


def _check_form(document: Any) -> None:
    if not isinstance(document, dict):
        raise unreadable("the discovery document must be a JSON object")
    problems = Problems()
    wanted = {"boot-info": dict, "interfaces": list, "disks": list, "lldp": dict}
    for key, container in wanted.items():
        if key not in document:
            problems.note(key, "required")
        elif not isinstance(document[key], container) and (key, document[key]) != ("disks", None):
            problems.note(
                key, "a list is expected" if container is list else "an object is expected"
            )
    if problems:
        raise unreadable(f"the discovery document lacks {', '.join(problems)}", problems)


def _read(document: dict[str, Any], problems: Problems) -> DiscoveryReport:
    top = ObjectReader(document, "", problems)
    boot = ObjectReader(document["boot-info"], "boot-info", problems)
    boot_mac = boot.mac("mac")
    interfaces = read_interfaces(top, boot_mac)
    if boot_mac and not any(one.is_boot for one in interfaces):
        boot.note("mac", "no interface of the document has this MAC")
    if not boot_mac:
        boot.note("mac", "required")
    report = DiscoveryReport(
        uuid=boot.uuid("uuid"),
        boot_mac=boot_mac,
        boot_id=boot.text("random-id", limit=64, is_required=False),
        interfaces=interfaces,
        disks=_read_disks(top),
        lldp=_read_lldp(top),
        hardware=_read_hardware(top),
        journal=_read_journal(top),
    )
    return _with_facts(report, document, problems)


def _read_disks(top: ObjectReader) -> tuple[DiskFacts, ...]:
    disks: dict[str, DiskFacts] = {}
    for index, item in enumerate(top.items("disks", limit=MAX_DISKS)):
        reader = ObjectReader(item, f"disks[{index}]", top.problems)
        disk = DiskFacts(
            path=reader.text("path", limit=255),
            size_bytes=reader.integer("size-bytes", high=BIGINT) or 0,
            model=reader.text("model", limit=128, is_required=False),
            serial=reader.text("serial", limit=128, is_required=False),
            is_rotational=reader.boolean("rotational", is_required=False),
        )
        if disk.path in disks:
            reader.note("path", "a disk with this path is already listed")
        disks.setdefault(disk.path, disk)
    return tuple(disks.values())


def _read_lldp(top: ObjectReader) -> tuple[LldpFacts, ...]:
    lldp = ObjectReader(top.data["lldp"], "lldp", top.problems)
    is_file = lldp.boolean("is_file")
    if is_file and not lldp.has("data"):
        return ()
    content = lldp.data.get("data")
    data = ObjectReader({} if content is None else content, "lldp.data", top.problems)
    if is_file:
        data.has("interfaces")
    listed = {item["name"].strip() for item in top.data["interfaces"] if _has_text_name(item)}
    found: dict[str, LldpFacts] = {}
    for index, item in enumerate(data.items("interfaces", limit=MAX_NEIGHBOURS)):
        neighbour = _read_neighbour(item, f"lldp.data.interfaces[{index}]", listed, top.problems)
        found.setdefault(neighbour.interface, neighbour)  # of several neighbours the first counts
    return tuple(found.values()) if is_file else ()


def _has_text_name(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("name"), str)


def _read_neighbour(item: Any, path: str, listed: set[str], problems: Problems) -> LldpFacts:
    link = ObjectReader(item, path, problems)
    chassis = ObjectReader(link.data.get("chassis"), f"{path}.chassis", problems)
    port = ObjectReader(link.data.get("port"), f"{path}.port", problems)
    name = link.text("name", limit=64)
    if name and name not in listed:
        link.note("name", "no interface of the document has this name")
    chassis_id = chassis.text("id", limit=128)
    with suppress(ValueError):  # IEEE 802.1AB knows other subtypes than MACs: they stay as sent
        chassis_id = normalise_mac(chassis_id)
    return LldpFacts(
        interface=name,
        chassis_id=chassis_id,
        chassis_name=chassis.text("name", limit=255, is_required=False),
        port_id=port.text("id", limit=128),
    )


def _read_hardware(top: ObjectReader) -> HardwareFacts:
    if top.data.get("hardware") is None:
        return HardwareFacts()
    reader = ObjectReader(top.data["hardware"], "hardware", top.problems)
    return HardwareFacts(
        serial=reader.text("serial", limit=128, is_required=False),
        product=reader.text("product", limit=128, is_required=False),
        cpu_count=reader.integer("cpu-count", high=2**31 - 1, is_required=False),
        memory_bytes=reader.integer("memory-bytes", high=BIGINT, is_required=False),
    )


def _read_journal(top: ObjectReader) -> tuple[str, ...]:
    lines = top.data.get("ignition-journal")
    if lines is None:
        return ()
    if not isinstance(lines, list):
        top.note("ignition-journal", "a list of texts is expected")
        return ()
    for index, line in enumerate(lines):
        if not isinstance(line, str):
            top.note(f"ignition-journal[{index}]", "a text is expected")
    return cut_journal([line for line in lines if isinstance(line, str)])


def cut_journal(lines: Sequence[str]) -> tuple[str, ...]:
    """The newest lines within MAX_JOURNAL_LINES and MAX_JOURNAL_BYTES; a note says what is cut."""
    kept: list[str] = []
    room = MAX_JOURNAL_BYTES
    for line in reversed(lines[-MAX_JOURNAL_LINES:]):
        text = storable_text(line[:MAX_LINE])
        room -= len(text.encode("utf-8")) + 1
        if room < 0:
            break
        kept.append(text)
    note = [f"({len(lines) - len(kept)} earlier lines were cut)"] if len(kept) < len(lines) else []
    return (*note, *reversed(kept))


def _with_facts(
    report: DiscoveryReport, document: dict[str, Any], problems: Problems
) -> DiscoveryReport:
    known = {key: value for key, value in document.items() if key != "ignition-journal"}
    try:
        facts = storable(known)
    except ValueError as error:
        problems.note("", str(error))
        return report
    if len(json.dumps(facts)) > MAX_FACTS_BYTES:
        facts = as_document(report) | {"unknown-keys": "too large, not kept"}
    return replace(report, facts=facts, digest=_digest(facts))


def _digest(facts: dict[str, Any]) -> str:
    boot = {key: value for key, value in facts["boot-info"].items() if key != "random-id"}
    same = json.dumps(facts | {"boot-info": boot}, sort_keys=True)
    return hashlib.sha256(same.encode()).hexdigest()
