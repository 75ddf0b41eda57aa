"""docs/cluster-values.md, made from the schema. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator

from scheduling.schema import SCHEMA, Value
from scheduling.values import default_of

_TITLES = {
    "boot": "Network boot",
    "install": "Installation",
    "disks": "Disks",
    "network": "Network",
    "time": "Time",
    "ssh": "SSH",
    "kernel": "Kernel",
    "agent": "Agent",
    "kubernetes": "Kubernetes",
    "etcd": "etcd",
    "vault": "Secret store",
    "components": "Components",
}
_INTRODUCTION = """\
# Cluster values

What the machines of a cluster are configured with. Defaults stand in the code, what differs is
kept with the cluster in the database. A change becomes a revision of the configuration.

    manage.py values show                     all values and where they come from
    manage.py values set pod_prefix=25        one or more keys; a list's key may be repeated
    manage.py values apply FILE               a YAML mapping, for Git; - is standard input
    manage.py values apply FILE --replace     keys that the file does not name get their defaults
    manage.py values apply FILE --dry-run     says what would change

Unknown keys, wrong types and values that contradict each other (equal ports, overlapping
networks, a pod network too small for the machines that are there) are refused, and then nothing
is changed. No value takes a control character or a line break. The cluster's size and placement
rules (control plane, spread, settling time) are fields of the cluster: the console, or
`manage.py cluster show|set`.

This page is generated: `manage.py values docs --write`.
"""


def render_docs() -> str:
    """The whole page."""
    return "\n".join([_INTRODUCTION, *_sections()])


def _sections() -> Iterator[str]:
    components = dict.fromkeys(value.component for value in SCHEMA)
    for component in components:
        yield f"## {_TITLES[component]}\n"
        yield "| key | type | default | meaning | example |\n|---|---|---|---|---|"
        yield from (_row(value) for value in SCHEMA if value.component == component)
        yield ""


def _row(value: Value) -> str:
    cells = (
        f"`{value.name}`",
        value.type.value,
        _literal(default_of(value)),
        value.meaning,
        _literal(value.example),
    )
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def _literal(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, list) else str(value)
    if isinstance(value, bool):
        text = str(value).lower()
    if len(text) > 100:
        text = f"{text[:97]}…"
    return f"`{text}`" if text else "(empty)"
