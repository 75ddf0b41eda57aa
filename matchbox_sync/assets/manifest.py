"""What is known of each asset, and how that is written down. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

FORMAT = 1
KINDS = ("kernel", "initrd", "image", "agent", "other")


@dataclass(frozen=True, slots=True)
class Signature:
    """A detached signature of an asset, and what became of it when somebody looked.

    `state` is verified, unverified (nobody gave a keyring) or bad; `key` is the fingerprint of
    the key that signed; `remark` says what else is worth knowing.
    """

    state: str
    file: str = ""
    key: str = ""
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Asset:
    """One file below the assets, as it was when it was added. `size` is in bytes."""

    path: str
    kind: str
    version: str
    size: int
    sha512: str
    added_at: str
    added_by: str
    signature: Signature | None = None

    def as_json(self) -> dict[str, Any]:
        """As it stands in the manifest and in `--json`."""
        return asdict(self)


def dump_manifest(assets: Mapping[str, Asset]) -> bytes:
    """The manifest's bytes: the same for the same assets, one line a fact, so that it diffs."""
    rows = [assets[path].as_json() for path in sorted(assets)]
    return (json.dumps({"format": FORMAT, "assets": rows}, indent=1) + "\n").encode()


def parse_manifest(data: bytes) -> dict[str, Asset]:
    """Path to asset; raises ValueError with the reason when this is no manifest of ours."""
    try:
        document = json.loads(data)
        if document["format"] != FORMAT:
            raise ValueError(f"it has format {document['format']!r}, this version knows {FORMAT}")
        assets = [_asset(row) for row in document["assets"]]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    return {asset.path: asset for asset in assets}


def _asset(row: Mapping[str, Any]) -> Asset:
    signature = row["signature"]
    return Asset(**{**row, "signature": Signature(**signature) if signature else None})
