"""Which assets the clusters use, and what is not as it should be. Changes nothing."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import Q

from matchbox_sync.assets.folder import AssetFolder
from matchbox_sync.assets.manifest import Asset
from matchbox_sync.assets.naming import clean_path, guess_kind, version_of_release
from matchbox_sync.assets.signatures import check_signature
from matchbox_sync.assets.uses import Use, uses_of_boot, uses_of_values
from matchbox_sync.models import DesiredConfig, ProfileInForce, ProfileVersion
from scheduling.models import Cluster
from scheduling.values import cluster_values


@dataclass(frozen=True, slots=True)
class ListedAsset:
    """An asset with its state (present, changed, missing, unknown) and who uses it.

    `changed` is told by the size only: reading all files takes `verify_assets`.
    """

    path: str
    state: str
    size: int
    asset: Asset | None
    used_by: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        known = self.asset.as_json() if self.asset else {"kind": guess_kind(self.path)}
        return {**known, "path": self.path, "size": self.size, "state": self.state} | {
            "used_by": self.used_by
        }


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with an asset: missing, changed, unknown, bad signature, not there
    though used."""

    path: str
    kind: str
    message: str


def asset_uses() -> list[Use]:
    """What all clusters use: by their values, and by what is published, also for held machines."""
    clusters = Cluster.objects.order_by("name")
    uses = [
        use
        for cluster in clusters
        for use in uses_of_values(cluster.name, cluster_values(cluster), settings.API_URI)
    ]
    held = DesiredConfig.objects.values("config__version_id").distinct()
    newest = ProfileInForce.objects.values("version_id")
    versions = ProfileVersion.objects.filter(Q(pk__in=newest) | Q(pk__in=held))
    rows = versions.order_by("cluster__name", "profile").values_list(
        "cluster__name", "profile", "boot"
    )
    for cluster_name, profile, boot in rows:
        uses += uses_of_boot(cluster_name, profile, boot, settings.API_URI)
    return list(dict.fromkeys(uses))


def uses_of(path: str, uses: Iterable[Use], folder: AssetFolder) -> list[Use]:
    """Those uses that `path` serves; links in the folder are followed."""
    known = folder.read()
    return [use for use in uses if _serves(path, use, _places(use, folder), known)]


def missing_uses(uses: Iterable[Use] | None = None) -> list[Use]:
    """Those of `uses` (default: all) whose file is not there. Looks at names only."""
    folder = AssetFolder(settings.ASSETS_PATH)
    return [use for use in (asset_uses() if uses is None else uses) if not _is_there(use, folder)]


def list_assets(uses: Iterable[Use] | None = None) -> list[ListedAsset]:
    """All assets by path, those of the manifest and those that just lie there, with their `uses`
    (default: all)."""
    folder = AssetFolder(settings.ASSETS_PATH)
    known, present = folder.read(), set(folder.files())
    uses = asset_uses() if uses is None else uses
    pairs = [(use, _places(use, folder)) for use in uses]
    rows = []
    for path in sorted(known.keys() | present):
        asset = known.get(path)
        used_by = [str(use) for use, places in pairs if _serves(path, use, places, known)]
        size = (folder.root / path).stat().st_size if path in present else 0
        rows.append(ListedAsset(path, _state(asset, path in present, size), size, asset, used_by))
    return rows


def verify_assets(
    paths: Collection[str] = (), *, keyring: Path | None = None
) -> tuple[int, list[Finding]]:
    """Read the files again; how many were read, and what is wrong. `paths`: only these.

    With a keyring, signatures are checked again too.
    """
    folder = AssetFolder(settings.ASSETS_PATH)
    wanted = {folder.real_path(clean_path(path)) for path in paths}
    known = folder.read()
    present = set(folder.files())
    findings: list[Finding] = []
    for path in sorted(wanted or known.keys() | present):
        findings += _look_at(path, known.get(path), folder, keyring)
    for use in asset_uses():
        if not wanted or folder.real_path(use.path) in wanted:
            findings += _look_at_use(use, known, folder)
    return len(present & wanted if wanted else present), findings


def _places(use: Use, folder: AssetFolder) -> list[str]:
    """Where the file of `use` lies, behind links; or the folders that the installer looks into.

    flatcar-install reads `version.txt` in the folder `current`, and takes the image from the folder
    beside it that is named so.
    """
    real = folder.real_path(use.path)
    if not use.is_folder or posixpath.basename(use.path) != "current":
        return [real]
    try:
        text = (folder.root / real / "version.txt").read_text(errors="replace")
    except OSError:
        return [real]
    version = version_of_release(text)
    beside = posixpath.join(posixpath.dirname(use.path), version)
    return [real, folder.real_path(beside)] if version else [real]


def _serves(path: str, use: Use, places: Collection[str], known: Mapping[str, Asset]) -> bool:
    """Whether an asset is what `use` is about; see `_places`.

    The installer takes the image, its signature and `version.txt` from a release's folder.
    """
    if use.is_folder:
        return posixpath.dirname(path) in places and _kind(path, known) in ("image", "other")
    return path in places


def _state(asset: Asset | None, is_present: bool, size: int) -> str:
    if asset is None:
        return "unknown"
    if not is_present:
        return "missing"
    return "present" if asset.size == size else "changed"


def _is_there(use: Use, folder: AssetFolder) -> bool:
    """Whether the file is there; of a folder, whether an image lies in it."""
    places = [folder.root / place for place in _places(use, folder)]
    if not use.is_folder:
        return places[0].is_file()
    known = folder.read()
    return any(
        file.is_file() and _kind(file.relative_to(folder.root).as_posix(), known) == "image"
        for place in places
        if place.is_dir()
        for file in place.iterdir()
    )


def _kind(path: str, known: Mapping[str, Asset]) -> str:
    asset = known.get(path)
    return asset.kind if asset else guess_kind(path)


def _look_at(
    path: str, asset: Asset | None, folder: AssetFolder, keyring: Path | None
) -> Iterator[Finding]:
    try:
        found = folder.digest(path)
    except OSError as error:
        yield Finding(path, "changed", f"it cannot be read: {error}")
        return
    if asset is None:
        word = "it is not in the manifest" if found else "there is no such asset"
        yield Finding(path, "unknown" if found else "missing", word)
    elif found is None:
        yield Finding(path, "missing", f"it was added at {asset.added_at} and is gone")
    elif found != (asset.size, asset.sha512):
        yield Finding(
            path, "changed", f"its content is not what was added: SHA-512 {found[1][:16]}…"
        )
    elif keyring and asset.signature:
        signature = folder.root / asset.signature.file
        checked = check_signature(folder.root / path, signature, keyring)
        if checked.state == "bad":
            yield Finding(path, "bad signature", checked.remark)


def _look_at_use(use: Use, known: Mapping[str, Asset], folder: AssetFolder) -> Iterator[Finding]:
    if not _is_there(use, folder):
        what = "no image is there" if use.is_folder else "it is not there"
        yield Finding(use.path, "not there", f"{use} uses it, and {what}")
        return
    asset = known.get(folder.real_path(use.path))
    if use.sha512 and asset and asset.sha512 != use.sha512:
        yield Finding(use.path, "other digest", f"{use}: its digest value is not that of the asset")
