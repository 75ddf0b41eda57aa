"""Which asset is used by which cluster: from its values and from what is in force. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Use:
    """One reason why an asset must be there.

    `by` is a cluster value's name or `profile NAME`. A folder is used when the installer is sent
    there for the system's image; `sha512` is what the file must have, where that is known.
    """

    cluster: str
    by: str
    path: str
    is_folder: bool = False
    sha512: str = ""

    def __str__(self) -> str:
        return f"{self.cluster}: {self.by}"


def asset_of_url(url: str, api_uri: str) -> str | None:
    """The path below /assets that `url` names at this engine; None for anything else."""
    base = f"{api_uri.rstrip('/')}/assets"
    if url != base and not url.startswith(f"{base}/"):
        return None
    return url.removeprefix(base).split("?")[0].split("#")[0].strip("/")


def uses_of_values(cluster: str, values: Mapping[str, Any], api_uri: str) -> list[Use]:
    """What the values of one cluster name. What other servers keep is not ours to know."""
    uses = [Use(cluster, name, str(values[name])) for name in ("boot_kernel", "boot_initrd")]
    base = str(values["install_base_url"]) or f"{api_uri.rstrip('/')}/assets"
    folder = asset_of_url(base, api_uri)
    if folder is not None:
        path = posixpath.join(folder, str(values["install_version"]))
        uses.append(Use(cluster, "install_version", path, is_folder=True))
    agent = asset_of_url(str(values["agent_url"]), api_uri)
    if agent:
        uses.append(Use(cluster, "agent_url", agent, sha512=str(values["agent_sha512"])))
    return uses


def uses_of_boot(cluster: str, profile: str, boot: Mapping[str, Any], api_uri: str) -> list[Use]:
    """What a published profile boots: also an older one that machines are still held at."""
    urls: Iterable[str] = [boot.get("kernel", ""), *boot.get("initrd", ())]
    paths = (asset_of_url(str(url), api_uri) for url in urls)
    return [Use(cluster, f"profile {profile}", path) for path in paths if path]
