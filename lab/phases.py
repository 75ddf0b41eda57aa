"""Where a machine is on its way, out of what driver and engine see of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lab.drivers.base import MachineState
from lab.fleetview import EngineView

UP_TO_DATE = "up to date"
FAILED = "install failed"
_BY_DRIVER = {
    "firmware": "in its firmware",
    "discovery": "in the discovery system",
    "installed": "in the installed system",
}
_BY_ENGINE = {
    "booting": "boots over the network",
    "os_installation_denied": "waits for the install gate",
    "os_installation_granted": "installs",
    "installation_failed": FAILED,
    "installation_succeed": "installed, restarts",
}


@dataclass(frozen=True, slots=True)
class Sight:
    """One machine as both see it; `engine` is None while the engine does not answer."""

    state: MachineState
    engine: EngineView | None
    is_plugged: bool = True

    def phase(self, since: datetime | None = None) -> str:
        """Where it is, in a few words. A report older than `since` counts for nothing."""
        words = self._phase(since)
        return words if self.is_plugged else f"{words}, network cut"

    def _phase(self, since: datetime | None) -> str:
        if not self.state.is_defined:
            return "not made"
        if self.state.power == "off":
            return "off"
        if self.engine is None:
            return _BY_DRIVER.get(self.state.phase, "on")
        if not self.engine.is_known:
            return _BY_DRIVER.get(self.state.phase, "on, not heard of")
        return self._by_engine(self.engine, since)

    def _by_engine(self, view: EngineView, since: datetime | None) -> str:
        if view.state == "discovery":
            return "waits to install" if view.roles else "discovered, waits for a role"
        if view.state != "running":
            return _BY_ENGINE.get(view.state, view.state)
        if since is not None and (view.reported_at is None or view.reported_at < since):
            return "on, not reported since"
        if not view.roles:
            return "runs without a role"
        return UP_TO_DATE if view.is_up_to_date else "runs, outdated"
