"""Engine settings: each with its type, default and meaning; read from the environment.

Order: environment, then the file named by `ENJOLIVER_ENV_FILE` (lines `NAME=value`), then the
default. `NAME_FILE` names a file that holds the value, for secrets. Cluster values (ports,
ranges, versions…) are no engine settings: they live in the database, see `scheduling.values`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent


def _bool(text: str) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True}
    words |= {"0": False, "false": False, "no": False, "off": False, "": False}
    if text.lower() not in words:
        raise ValueError("expected true or false")
    return words[text.lower()]


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.replace(" ", ",").split(",") if part.strip()]


def _address(text: str) -> str:
    host, separator, port = text.rpartition(":")
    if not separator or not host or not port.isdigit() or not 0 <= int(port) <= 65535:
        raise ValueError("expected ADDRESS:PORT")
    return text


def _base_url(text: str) -> str:
    return text.rstrip("/")


@dataclass(frozen=True, slots=True)
class Setting:
    """One engine setting. `parse` turns text into the value and raises ValueError."""

    name: str
    default: str
    meaning: str
    parse: Callable[[str], Any] = str
    is_secret: bool = False


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "ENJOLIVER_BIND", "127.0.0.1:5000", "Address and port the engine listens on.", _address
    ),
    Setting(
        "ENJOLIVER_API_URI",
        "",
        "The engine's URL as machines reach it. Default: http://ENJOLIVER_BIND; required when "
        "the engine listens on more than loopback.",
    ),
    Setting("ENJOLIVER_STATE_DIR", "var", "Where everything that must survive a restart lives."),
    Setting(
        "DATABASE_URL",
        "",
        "postgres://user:password@host/name; default: SQLite in the state directory.",
        is_secret=True,
    ),
    Setting(
        "ENJOLIVER_BROKER_URL",
        "",
        "redis://host/0 for the queue and the cache; default: files in the state directory.",
        is_secret=True,
    ),
    Setting(
        "ENJOLIVER_MATCHBOX_BIND", "127.0.0.1:8080", "Where `make run` starts matchbox.", _address
    ),
    Setting(
        "ENJOLIVER_MATCHBOX_URLS",
        "",
        "URLs of the public matchbox instances, comma separated. Default: the one started here.",
        _list,
    ),
    Setting(
        "ENJOLIVER_MATCHBOX_PATH",
        "",
        "matchbox's data directory. Default: matchbox/ in the state directory.",
    ),
    Setting(
        "ENJOLIVER_MATCHBOX_BIN",
        "",
        "The matchbox program. Default: the one that set-up built, else the one on PATH.",
    ),
    Setting(
        "ENJOLIVER_BUTANE_BIN",
        "",
        "The butane program, for the strict check. Default: as for matchbox.",
    ),
    Setting(
        "ENJOLIVER_ASSETS_PATH",
        "",
        "Kernels, initrds, agents. Default: assets/ in matchbox's data directory.",
    ),
    Setting(
        "ENJOLIVER_TEMPLATES",
        "",
        "A site's own snippets; a component of the same name replaces ours.",
    ),
    Setting(
        "ENJOLIVER_SSH_KEYS",
        "",
        "File or directory with SSH public keys for the machines. Default: "
        "ssh_authorized_keys/ in matchbox's data directory.",
    ),
    Setting(
        "ENJOLIVER_SECRET_KEY",
        "",
        "Django's signing key. Default: generated once, kept in the state directory.",
        is_secret=True,
    ),
    Setting(
        "ENJOLIVER_ADMIN_PASSWORD",
        "",
        "Password of the first operator, `admin`. Default: generated, kept in the state "
        "directory in the file admin-password (mode 600).",
        is_secret=True,
    ),
    Setting("ENJOLIVER_ALLOWED_HOSTS", "", "Further host names the engine answers to.", _list),
    Setting(
        "ENJOLIVER_NODE_NETWORKS",
        "127.0.0.0/8,::1/128,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10,"
        "fc00::/7,fe80::/10",
        "Networks that machines call from; others get 403 on all routes of machines.",
        _list,
    ),
    Setting(
        "ENJOLIVER_TRUSTED_PROXIES",
        "",
        "Networks of load balancers whose X-Forwarded-For is believed.",
        _list,
    ),
    Setting("ENJOLIVER_WEB_WORKERS", "2", "Web processes of `make run`.", int),
    Setting(
        "ENJOLIVER_WEB_THREADS",
        "4",
        "Threads of each web process: requests that it answers at once. Downloads need none.",
        int,
    ),
    Setting(
        "ENJOLIVER_SYNC_NOTIFY_TTL_SECONDS",
        "60",
        "How long after a good sync /ignition may ask matchbox.",
        int,
    ),
    Setting("ENJOLIVER_SYNC_INTERVAL_SECONDS", "15", "How often beat runs the sync.", float),
    Setting(
        "ENJOLIVER_SCHEDULE_INTERVAL_SECONDS", "5", "How often beat runs the scheduler.", float
    ),
    Setting(
        "ENJOLIVER_INSTALL_CONCURRENCY",
        "1",
        "Machines that may install at once at each site that has no limit of its own.",
        int,
    ),
    Setting(
        "ENJOLIVER_INSTALL_DEADLINE_SECONDS",
        "1800",
        "Silence after which an install counts as stalled and its place is given on.",
        int,
    ),
    Setting(
        "ENJOLIVER_INSTALL_QUEUE_SECONDS",
        "60",
        "A waiting machine that has not asked for this long leaves the queue.",
        int,
    ),
    Setting(
        "ENJOLIVER_FLEETLOCK_URL",
        "",
        "Base URL of another FleetLock server that is the one authority over slots. Default: the "
        "engine itself.",
        _base_url,
    ),
    Setting(
        "ENJOLIVER_ROLLOUT_INTERVAL_SECONDS",
        "5",
        "How often beat takes each rollout a step further.",
        float,
    ),
    Setting(
        "ENJOLIVER_GATE_FILES",
        "",
        "Directory of what health gates need: certificates, keys, tokens, kubeconfigs; they read "
        "no file elsewhere. Default: health-gates/ in the state directory.",
    ),
    Setting(
        "ENJOLIVER_GATE_COMMANDS",
        "",
        "Directory of the programs that health gates of the kind command may run. Default: none "
        "may run.",
    ),
    Setting(
        "ENJOLIVER_DISK_BOOT",
        "true",
        "Installed machines get an iPXE script that boots their disk.",
        _bool,
    ),
    Setting(
        "ENJOLIVER_HISTORY_DAYS", "90", "Age after which events and state changes are pruned.", int
    ),
    Setting("ENJOLIVER_LOG_LEVEL", "INFO", "DEBUG, INFO, WARNING or ERROR.", str.upper),
    Setting("ENJOLIVER_DEBUG", "false", "Django's debug pages; never on a real network.", _bool),
)


@dataclass(frozen=True, slots=True)
class Configured:
    """A parsed value and where it came from: `environment`, `file` or `default`."""

    setting: Setting
    value: Any
    source: str


def read_env_file(path: Path) -> dict[str, str]:
    """Parse lines `NAME=value` (comments with #, optional quotes) of an environment file."""
    values = {}
    for line in path.read_text().splitlines():
        name, separator, value = line.strip().partition("=")
        if separator and not name.startswith("#"):
            values[name.removeprefix("export ").strip()] = value.strip().strip("\"'")
    return values


def load(environment: Mapping[str, str] = os.environ) -> dict[str, Configured]:
    """Read all settings; raises ImproperlyConfigured that names the setting and the reason."""
    env_file = environment.get("ENJOLIVER_ENV_FILE", "")
    in_file = read_env_file(Path(env_file)) if env_file else {}
    return {setting.name: _read(setting, environment, in_file) for setting in SETTINGS}


def _read(
    setting: Setting, environment: Mapping[str, str], in_file: Mapping[str, str]
) -> Configured:
    text, source = setting.default, "default"
    for values, name in ((in_file, "file"), (environment, "environment")):
        if f"{setting.name}_FILE" in values:
            text, source = Path(values[f"{setting.name}_FILE"]).read_text().strip(), name
        if setting.name in values:
            text, source = values[setting.name], name
    try:
        return Configured(setting, setting.parse(text), source)
    except ValueError as error:
        raise ImproperlyConfigured(f"{setting.name}={text!r}: {error}") from error
