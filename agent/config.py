"""The agent's settings: command line over environment over the files that Ignition wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs

from agent.environment import read_environment
from agent.files import read_text

# Later ones win.
FILES = ("etc/metadata-endpoints.env", "etc/enjoliver/environment", "etc/enjoliver/agent.env")
DISCOVERY_MARKER = "etc/enjoliver/discovery"
ROLE_MARKER = "etc/enjoliver/role"


class BadSetting(Exception):
    """A setting that cannot be used; the text names it and says why."""


@dataclass(frozen=True, slots=True)
class Config:
    """All settings by name; each property says what its setting means and its default."""

    values: Mapping[str, str]

    def text(self, name: str, default: str = "") -> str:
        """The value of `ENJOLIVER_<name>`, or `default` when it is not set or empty."""
        return self.values.get(f"ENJOLIVER_{name}", "").strip() or default

    def number(self, name: str, default: float, *, low: float, high: float) -> float:
        """A number from `low` to `high`; raises BadSetting."""
        text = self.text(name, str(default))
        try:
            number = float(text)
        except ValueError:
            number = float("nan")
        if not low <= number <= high:
            raise BadSetting(f"ENJOLIVER_{name} is {text[:40]!r}; expected {low:g} to {high:g}")
        return number

    @property
    def api(self) -> str:
        """The engine's address, without a slash at its end; "" when it is not known."""
        return self.text("API_URI").rstrip("/")

    @property
    def root(self) -> Path:
        """Where this system's files are looked for."""
        return Path(self.text("AGENT_ROOT", "/"))

    @property
    def hardware(self) -> Path:
        """Where firmware and disks are looked for: sysfs, procfs and devices below it."""
        return Path(self.text("AGENT_HARDWARE", str(self.root)))

    @property
    def state_dir(self) -> Path:
        """The one directory for what must outlive a restart."""
        return Path(self.text("AGENT_STATE_DIR", str(self.root / "var/lib/enjoliver/agent")))

    @property
    def run_dir(self) -> Path:
        """What is written for other programs, anew in each boot."""
        return Path(self.text("AGENT_RUN_DIR", str(self.root / "run/enjoliver")))

    @property
    def membership_seconds(self) -> float:
        """How often the engine is asked who the control plane is."""
        return self.number("AGENT_MEMBERSHIP_SECONDS", 300, low=0.05, high=86400)

    @property
    def hooks_dir(self) -> Path:
        """Folders of executables: `drain.d`, `teardown.d`, `ready.d`, `membership.d`, and so on."""
        return Path(self.text("AGENT_HOOKS_DIR", str(self.root / "etc/enjoliver/hooks")))

    @property
    def hook_seconds(self) -> float:
        """How long one hook may take."""
        return self.number("AGENT_HOOK_SECONDS", 600, low=0.1, high=86400)

    @property
    def report_seconds(self) -> float:
        """The interval of reports."""
        return self.number("REPORT_SECONDS", 60, low=0.05, high=86400)

    @property
    def progress_seconds(self) -> float:
        """How often the engine is told again what it was told before."""
        return self.number("AGENT_PROGRESS_SECONDS", 1800, low=1, high=86400)

    @property
    def poll_seconds(self) -> float:
        """The first pause of every wait; longer ones follow."""
        return self.number("AGENT_POLL_SECONDS", 5, low=0.01, high=3600)

    @property
    def lldp_seconds(self) -> float:
        """How long discovery waits for a first neighbour; lldpd speaks each half minute."""
        return self.number("AGENT_LLDP_SECONDS", 35, low=0, high=3600)

    @property
    def longest_pause_seconds(self) -> float:
        """No pause of a wait is longer."""
        return self.number("AGENT_LONGEST_PAUSE_SECONDS", 60, low=0.01, high=3600)

    @property
    def http_seconds(self) -> float:
        """The deadline of one request."""
        return self.number("AGENT_HTTP_SECONDS", 30, low=0.1, high=600)

    @property
    def install_seconds(self) -> float:
        """The deadline of the platform's installer."""
        return self.number("AGENT_INSTALL_SECONDS", 3600, low=1, high=86400)

    @property
    def apply_seconds(self) -> float:
        """The deadline of each command that applies a config."""
        return self.number("AGENT_APPLY_SECONDS", 300, low=1, high=3600)

    @property
    def data_folders(self) -> tuple[str, ...]:
        """Folders that hold data which must outlive every update."""
        named = [text for name, text in self.values.items() if name.endswith("_ETCD_DATA_DIR")]
        return (*sorted({text for text in named if text.startswith("/")}), str(self.state_dir))

    @property
    def is_discovery_system(self) -> bool:
        """True where the discovery config was applied."""
        return (self.root / DISCOVERY_MARKER).exists()

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles of the installed system, by its marker."""
        text = read_text(self.root / ROLE_MARKER) or self.text("ROLES")
        return tuple(role.strip() for role in text.split(",") if role.strip())

    @property
    def uuid(self) -> str:
        """The machine's UUID as its config says it; "" in the discovery system."""
        return self.text("UUID", self._from_query("uuid")).lower()

    @property
    def boot_mac(self) -> str:
        """The boot interface's MAC as its config says it."""
        return self.text("BOOT_MAC", self._from_query("mac")).lower().replace("-", ":")

    @property
    def raw_query(self) -> str:
        """How the installed system names itself; "" when its config does not say it."""
        if self.text("RAW_QUERY"):
            return self.text("RAW_QUERY")
        return installed_query(self.uuid, self.boot_mac) if self.boot_mac else ""

    def _from_query(self, key: str) -> str:
        return parse_qs(self.text("RAW_QUERY")).get(key, [""])[0]

    def missing(self) -> list[str]:
        """What a running agent needs and is not there, in plain words."""
        wanted = [
            (self.api, "ENJOLIVER_API_URI: the engine's address (/etc/metadata-endpoints.env)")
        ]
        if not self.is_discovery_system:
            query = "ENJOLIVER_RAW_QUERY: the machine's identity (/etc/enjoliver/environment)"
            wanted += [(self.raw_query, query)]
            wanted += [(",".join(self.roles), "the machine's roles (/etc/enjoliver/role)")]
        return [words for value, words in wanted if not value]


def installed_query(uuid: str, mac: str) -> str:
    """`uuid=…&mac=…&os=installed`: the identity in requests of, or for, the installed system."""
    return (f"uuid={uuid}&" if uuid else "") + f"mac={mac.replace(':', '-')}&os=installed"


def load_config(environment: Mapping[str, str], options: Mapping[str, str] | None = None) -> Config:
    """The settings in force. `options`: what the command line says, by setting."""
    told = {**environment, **(options or {})}
    root = Path(told.get("ENJOLIVER_AGENT_ROOT") or "/")
    values: dict[str, str] = {}
    for name in FILES:
        values |= read_environment(read_text(root / name))
    values |= told
    kept = {name: text for name, text in values.items() if name.startswith("ENJOLIVER_")}
    kept |= {name: text for name, text in values.items() if name.endswith("_ETCD_DATA_DIR")}
    return Config(kept)
