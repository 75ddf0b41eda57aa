"""Topology files: YAML in, a checked `Topology` out; everything that is wrong is said at once."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from lab.errors import LabFailed
from lab.fields import Fields, whole
from lab.topology import DEFAULT_NETWORK, DiskSpec, MachineSpec, Topology
from lab.topologyrules import contradictions

_NAME = r"[a-z][a-z0-9]{0,15}"
_MACHINE = r"[a-z][a-z0-9]*(-[a-z0-9]+)*"
_RACK = r"[a-z0-9]{1,15}"
_DISK = r"[a-z][a-z0-9]{0,15}"
_SETTING = r"ENJOLIVER_[A-Z_]+"
_LARGEST_GIB = 16384
_LARGEST_MIB = 1 << 20


class TopologyInvalid(LabFailed):
    """The file is not a topology: `problems` has a sentence for each thing, by its field."""

    def __init__(self, source: str, problems: Iterable[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join([f"{source} is no topology:", *self.problems]))


def load(path: Path, **override: str) -> Topology:
    """The topology of a file; `override` sets top-level fields. Raises TopologyInvalid."""
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise TopologyInvalid(str(path), [f"it cannot be read: {error.strerror}"]) from error
    except (yaml.YAMLError, UnicodeError) as error:
        raise TopologyInvalid(str(path), [f"it is no YAML: {error}"]) from error
    return read({} if document is None else document, source=str(path), **override)


def read(document: object, *, source: str = "the topology", **override: str) -> Topology:
    """A checked topology of a document as YAML or JSON gives it. Raises TopologyInvalid."""
    if not isinstance(document, dict):
        raise TopologyInvalid(source, ["a mapping is expected, with `machines` and others"])
    problems: list[str] = []
    topology = _topology(Fields({**document, **override}, "", problems))
    wrong = {re.split(r"[\[:]", problem)[0] for problem in problems}
    problems += contradictions(topology, wrong)
    if problems:
        raise TopologyInvalid(source, problems)
    return topology


def document_of(topology: Topology) -> dict[str, Any]:
    """The document that `read` makes this topology of; for the ledger."""
    return {
        "name": topology.name,
        "driver": topology.driver,
        "control_plane": topology.control_plane,
        "network": str(topology.network),
        "machines": [
            {**_plain(spec), "disks": [_plain(disk) for disk in spec.disks]}
            for spec in topology.specs
        ],
        "values": dict(topology.values),
        "engine": dict(topology.engine),
    }


def _plain(spec: MachineSpec | DiskSpec) -> dict[str, Any]:
    return {field.name: getattr(spec, field.name) for field in fields(spec)}


def _topology(given: Fields) -> Topology:
    default = Topology()
    machines = given.rows("machines")
    topology = Topology(
        name=given.word("name", default.name, _NAME),
        driver=given.choice("driver", default.driver, ("nspawn", "libvirt")),
        control_plane=given.number("control_plane", default.control_plane, 1, 9),
        network=given.network("network", DEFAULT_NETWORK),
        specs=default.specs if machines is None else tuple(_machine(one) for one in machines),
        values=given.mapping("values"),
        engine={key: whole(value) for key, value in given.mapping("engine", _SETTING).items()},
    )
    given.nothing_else()
    return topology


def _machine(given: Fields) -> MachineSpec:
    default = MachineSpec("")
    disks = given.rows("disks")
    spec = MachineSpec(
        name=given.word("name", None, _MACHINE),
        memory_mib=given.number("memory_mib", default.memory_mib, 256, _LARGEST_MIB),
        cpus=given.number("cpus", default.cpus, 1, 64),
        rack=given.word("rack", default.rack, _RACK),
        disks=default.disks if disks is None else tuple(_disk(one) for one in disks),
    )
    given.nothing_else()
    return spec


def _disk(given: Fields) -> DiskSpec:
    default = DiskSpec("")
    spec = DiskSpec(
        name=given.word("name", None, _DISK),
        size_gib=given.number("size_gib", default.size_gib, 1, _LARGEST_GIB),
        is_rotational=given.flag("is_rotational", default.is_rotational),
        content=given.choice("content", default.content, ("empty", "data")),
    )
    given.nothing_else()
    return spec


class _Loader(yaml.SafeLoader):
    """YAML without double keys: of two, the first would vanish without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} stands there twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)
