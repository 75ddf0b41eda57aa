"""`lab status`: each machine as driver and engine see it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lab.lab import Lab
from lab.phases import UP_TO_DATE, Sight
from lab.topology import LabMachine


@dataclass(frozen=True, slots=True)
class Status:
    """The whole lab at one moment."""

    lab: Lab
    sights: dict[str, Sight]
    problems: list[str]

    @property
    def is_good(self) -> bool:
        """Whether everything stands and all machines are up to date."""
        return not self.problems and all(
            sight.phase() == UP_TO_DATE for sight in self.sights.values()
        )

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "name": self.lab.topology.name,
            "driver": self.lab.driver.name,
            "engine": {"url": self.lab.engine.url, "is_running": self.lab.engine.is_running},
            "network": str(self.lab.topology.network),
            "problems": self.problems,
            "machines": [
                machine_row(machine, self.sights[machine.name])
                for machine in self.lab.topology.machines
            ],
        }

    def lines(self) -> list[str]:
        """For people: a table, and what is wrong."""
        engine = "" if self.lab.engine.is_running else " (does not run)"
        head = [
            f"lab {self.lab.topology.name}: driver {self.lab.driver.name}, "
            f"network {self.lab.topology.network}, engine {self.lab.engine.url}{engine}"
        ]
        rows = [("MACHINE", "ADDRESS", "POWER", "ROLES", "PHASE")]
        for machine in self.lab.topology.machines:
            row = machine_row(machine, self.sights[machine.name])
            phase = row["phase"] + (f" ({row['detail']})" if row["detail"] else "")
            rows.append((row["name"], row["address"], row["power"], row["roles"] or "-", phase))
        return head + table(rows) + self.problems


def machine_row(machine: LabMachine, sight: Sight) -> dict[str, Any]:
    """One machine with its identity and all that is known of it."""
    view = sight.engine
    return {
        "name": machine.name,
        "address": str(machine.address.ip),
        "mac": machine.mac,
        "uuid": machine.uuid,
        "fqdn": machine.fqdn,
        "rack": machine.spec.rack,
        "is_defined": sight.state.is_defined,
        "power": sight.state.power,
        "is_plugged": sight.is_plugged,
        "driver_phase": sight.state.phase,
        "detail": sight.state.detail,
        "phase": sight.phase(),
        "engine_state": view.state if view else None,
        "roles": view.roles if view else "",
        "is_up_to_date": view.is_up_to_date if view else None,
        "reported_at": view.reported_at.isoformat() if view and view.reported_at else None,
    }


def status(lab: Lab) -> Status:
    """Look at the lab; nothing is changed, and nothing raises because it is half made."""
    problems = lab.network.problems()
    if not lab.engine.is_running:
        problems.append("The engine does not run; `lab up` or `lab break engine start` starts it.")
    elif lab.engine_views() is None:
        problems.append(f"The engine does not answer at {lab.engine.url}.")
    return Status(lab, lab.sights(), problems)


def table(rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Rows of text in columns."""
    texts = [tuple(map(str, row)) for row in rows]
    widths = [max(len(row[column]) for row in texts) for column in range(len(texts[0]))]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in texts
    ]
