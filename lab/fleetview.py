"""What the engine says of the lab's machines, by its public views."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lab.http import NoAnswer, ask
from lab.topology import LabMachine


@dataclass(frozen=True, slots=True)
class EngineView:
    """One machine in the engine's eyes. `state` is "" for one that it has never seen."""

    state: str = ""
    roles: str = ""
    fqdn: str = ""
    is_up_to_date: bool | None = None
    reported_at: datetime | None = None

    @property
    def is_known(self) -> bool:
        """Whether the engine has heard of it at all."""
        return bool(self.state)


def look(url: str, machines: Iterable[LabMachine]) -> dict[str, EngineView]:
    """Each machine's view by its name; raises NoAnswer when the engine does not answer."""
    rows = {str(row["MAC"]): row for row in _rows(url, "/ui/view/machine")}
    boots = {str(row["mac"]): row for row in _rows(url, "/ui/view/states?data_since_last_min=600")}
    found = {}
    for machine in machines:
        if machine.mac in rows:
            found[machine.name] = _view(rows[machine.mac])
        elif machine.mac in boots:
            found[machine.name] = EngineView(state=str(boots[machine.mac]["state"]))
        else:
            found[machine.name] = EngineView()
    return found


def _rows(url: str, path: str) -> list[dict[str, Any]]:
    answer = ask(f"{url}{path}")
    rows = answer.json() if answer.status == 200 else None
    if not isinstance(rows, list):
        raise NoAnswer(f"{url}{path} was answered with {answer.status}")
    return rows


def _view(row: dict[str, Any]) -> EngineView:
    reported = row.get("LastReport")
    return EngineView(
        state=row.get("LastState") or "",
        roles=row.get("Roles") or "",
        fqdn=row.get("FQDN") or "",
        is_up_to_date=row.get("UpToDate"),
        reported_at=datetime.fromisoformat(reported) if reported else None,
    )


def journal(url: str, machine: LabMachine, lines: int) -> list[str]:
    """The last lines of Ignition's journal that the machine sent; empty when there is none."""
    path = f"{url}/discovery/ignition-journal/{machine.uuid}"
    try:
        answer = ask(path)
        boots = answer.json() if answer.status == 200 else []
        if not boots:
            return []
        newest = max(boots, key=lambda boot: str(boot["created_date"]))
        document = ask(f"{path}/{newest['boot_id']}").json()
        return [str(line) for line in document["lines"]][-lines:]
    except (NoAnswer, KeyError, TypeError):
        return []
