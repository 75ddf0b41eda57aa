"""What the processes need to know, taken from the settings once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from django.conf import settings


@dataclass(frozen=True, slots=True)
class RunConfig:
    """Addresses are `HOST:PORT`; `matchbox_bind` is None when matchbox runs elsewhere."""

    state_dir: Path
    bind: str
    matchbox_bind: str | None
    matchbox_bin: str
    matchbox_path: Path
    assets_path: Path
    web_workers: int
    web_threads: int
    log_level: str

    @property
    def logs_dir(self) -> Path:
        return self.state_dir / "logs"

    @property
    def metrics_dir(self) -> Path:
        """Where the processes share their Prometheus counters; emptied at each start."""
        return self.state_dir / "metrics"

    @property
    def url(self) -> str:
        """The engine as this machine reaches it: a wildcard address becomes loopback."""
        host, port = split_address(self.bind)
        local = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared
        return f"http://[{local}]:{port}" if ":" in local else f"http://{local}:{port}"


def split_address(address: str) -> tuple[str, int]:
    """`HOST:PORT` in its parts; brackets around an IPv6 address are taken off."""
    host, _, port = address.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def config_from_settings() -> RunConfig:
    """The configuration of this process's Django settings."""
    configured = settings.CONFIGURED
    runs_elsewhere = bool(configured["ENJOLIVER_MATCHBOX_URLS"].value)
    return RunConfig(
        state_dir=settings.STATE_DIR,
        bind=settings.BIND,
        matchbox_bind=None if runs_elsewhere else settings.MATCHBOX_BIND,
        matchbox_bin=settings.MATCHBOX_BIN,
        matchbox_path=settings.MATCHBOX_PATH,
        assets_path=settings.ASSETS_PATH,
        web_workers=settings.WEB_WORKERS,
        web_threads=settings.WEB_THREADS,
        log_level=configured["ENJOLIVER_LOG_LEVEL"].value,
    )
