"""Which platform this machine is."""

from __future__ import annotations

from agent.config import BadSetting, Config
from agent.environment import read_environment
from agent.files import read_text
from agent.platforms.base import Platform
from agent.platforms.flatcar import FlatcarPlatform
from agent.platforms.lab import LabPlatform


def find_platform(config: Config) -> Platform:
    """By `ENJOLIVER_AGENT_PLATFORM`, else by the system's os-release; raises BadSetting."""
    name = config.text("AGENT_PLATFORM", "auto")
    if name == "auto":
        name = read_environment(read_text(config.root / "etc/os-release")).get("ID", "unknown")
    if name == "flatcar":
        return FlatcarPlatform(config)
    if name == "lab":
        return LabPlatform(config)
    raise BadSetting(f"platform {name[:40]!r} is not known; set ENJOLIVER_AGENT_PLATFORM")
