"""What an operator sets so that machines use assets. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from matchbox_sync.assets.manifest import Asset


def values_for(assets: Iterable[Asset], api_uri: str) -> dict[str, str]:
    """Cluster values that name these assets.

    The installer fetches an image from a folder `install_version` below `install_base_url`; an
    image that lies in no folder cannot be reached so, and gets no advice.
    """
    values: dict[str, str] = {}
    base = f"{api_uri.rstrip('/')}/assets"
    for asset in assets:
        if asset.kind in ("kernel", "initrd"):
            values[f"boot_{asset.kind}"] = asset.path
        elif asset.kind == "agent":
            values |= {"agent_url": f"{base}/{asset.path}", "agent_sha512": asset.sha512}
        elif asset.kind == "image" and "/" in asset.path:
            folder = PurePosixPath(asset.path).parent
            above = "" if folder.parent == PurePosixPath() else f"{base}/{folder.parent}"
            values |= {"install_base_url": above, "install_version": folder.name}
    return values
