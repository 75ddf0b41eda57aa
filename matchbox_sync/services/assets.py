"""Puts files into the assets and takes them out: whole, checked, and written down."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from enjoliver.common.errors import Conflict, InvalidInput, NotFound
from enjoliver.common.times import rfc3339
from matchbox_sync.assets.digests import read_digests, read_sha512
from matchbox_sync.assets.folder import AssetFolder, Staged
from matchbox_sync.assets.manifest import KINDS, Asset, Signature
from matchbox_sync.assets.naming import (
    clean_path,
    guess_kind,
    guess_version,
    is_hidden,
    version_of_release,
)
from matchbox_sync.assets.signatures import check_signature
from matchbox_sync.services.assetuse import asset_uses, uses_of

_SIGNATURES = (".sig", ".asc")


@dataclass(frozen=True, slots=True)
class Incoming:
    """A file that is to become an asset. Empty texts: found out from names and neighbours.

    `is_signed`: refused without a signature when there is a keyring to check it with.
    """

    source: Path
    path: str = ""
    kind: str = ""
    version: str = ""
    sha512: str = ""
    signature: Path | None = None
    is_signed: bool = True


@dataclass(frozen=True, slots=True)
class Added:
    """An asset and what became of it: added, replaced or unchanged."""

    asset: Asset
    outcome: str


def asset_folder() -> AssetFolder:
    """The folder behind this engine's /assets."""
    return AssetFolder(settings.ASSETS_PATH)


def add_assets(
    incoming: Sequence[Incoming],
    *,
    actor: str,
    keyring: Path | None = None,
    is_link: bool = False,
    is_replacing: bool = False,
) -> list[Added]:
    """Make files assets, all or none; raises InvalidInput or Conflict with the reason.

    Every digest and signature is checked on the bytes that were written, before any is visible.
    """
    folder = asset_folder()
    with ExitStack() as stack:
        pairs: list[tuple[Staged, Asset]] = []
        for one in incoming:
            pairs += _staged(folder, stack, one, actor=actor, keyring=keyring, is_link=is_link)
        with folder.locked():
            known = folder.read()
            same = [folder.check_place(staged, is_replacing=is_replacing) for staged, _ in pairs]
            added = []
            for (staged, asset), is_same in zip(pairs, same, strict=True):
                if not is_same:
                    folder.replace_with(staged)
                added.append(_merged(known.get(asset.path), asset, is_same=is_same))
            folder.write(known | {one.asset.path: one.asset for one in added})
    return added


def files_of_release(directory: Path, *, path: str = "", version: str = "") -> list[Incoming]:
    """The files of a release folder, e.g. Flatcar's: signatures with what they sign.

    Without `path` they go below the release's version, where the installer looks for them.
    Raises InvalidInput for a link that leads out of the folder.
    """
    release = directory.resolve()
    names = [name for name in _names_below(release) if not is_hidden(name)]
    if not names:
        raise InvalidInput(f"{directory} holds no files")
    text = (release / "version.txt").read_text() if "version.txt" in names else ""
    version = version or version_of_release(text) or guess_version(f"{release.name}/x")
    target = path.strip("/") or version or release.name
    signed = {name: _signature_of(release / name) for name in names}
    signatures = set(signed.values())
    return [
        Incoming(
            release / name,
            f"{target}/{name}",
            version=version,
            signature=signed[name],
            is_signed=guess_kind(name) != "other",
        )
        for name in names
        if release / name not in signatures
    ]


def remove_asset(path: str, *, is_forced: bool = False) -> Asset | None:
    """Remove an asset with its signature; raises NotFound, or Conflict while a cluster uses it.

    Answers what the manifest said of it.
    """
    folder = asset_folder()
    with folder.locked():
        path = folder.locate(clean_path(path)).relative_to(folder.root).as_posix()
        known = folder.read()
        if path not in known and not (folder.root / path).is_file():
            raise NotFound(f"there is no asset {path}")
        used_by = uses_of(path, asset_uses(), folder)
        if used_by and not is_forced:
            raise Conflict(f"{path} is used by {', '.join(map(str, used_by))}; --force removes it")
        gone = known.pop(path, None)
        paths = [path]
        if gone and gone.signature and known.pop(gone.signature.file, None):
            paths.append(gone.signature.file)
        for one in paths:
            folder.remove(one)
        folder.write(known)
    return gone


def _staged(
    folder: AssetFolder,
    stack: ExitStack,
    one: Incoming,
    *,
    actor: str,
    keyring: Path | None,
    is_link: bool,
) -> Iterator[tuple[Staged, Asset]]:
    """The staged file, and its signature as a file of its own; raises InvalidInput."""
    if not one.source.is_file():
        raise InvalidInput(f"{one.source} is no file")
    if one.kind and one.kind not in KINDS:
        raise InvalidInput(f"{one.kind} is no kind of asset: {', '.join(KINDS)}")
    path = clean_path(_path_of(one))
    signature_file = one.signature or _signature_of(one.source)
    if keyring and one.is_signed and not signature_file:
        raise InvalidInput(f"{one.source.name} has no signature to check with the keyring")
    staged = folder.stage(one.source, path, is_link=is_link)
    stack.callback(staged.discard)
    _check_digest(one, staged)
    signature = None
    version = one.version or guess_version(path)
    if signature_file:
        place = f"{path}{signature_file.suffix}"
        staged_signature = folder.stage(signature_file, place, is_link=is_link)
        stack.callback(staged_signature.discard)
        signature = _checked_signature(staged, staged_signature, keyring, one.source.name)
        yield staged_signature, _new_asset(staged_signature, "other", version, actor, None)
    yield staged, _new_asset(staged, one.kind, version, actor, signature)


def _new_asset(
    staged: Staged, kind: str, version: str, actor: str, signature: Signature | None
) -> Asset:
    return Asset(
        path=staged.path,
        kind=kind,
        version=version,
        size=staged.size,
        sha512=staged.sha512,
        added_at=rfc3339(timezone.now()) or "",
        added_by=actor,
        signature=signature,
    )


def _merged(before: Asset | None, asset: Asset, *, is_same: bool) -> Added:
    """What the manifest says from now on.

    The same content again keeps when it came and by whom, its kind unless another one is given,
    and a signature that was verified then.
    """
    if before is None or not is_same:
        asset = replace(asset, kind=asset.kind or guess_kind(asset.path))
        return Added(asset, "replaced" if before else "added")
    signature = asset.signature
    if before.signature and (signature is None or signature.state == "unverified"):
        signature = before.signature
    kept = replace(
        asset,
        kind=asset.kind or before.kind,
        version=asset.version or before.version,
        added_at=before.added_at,
        added_by=before.added_by,
        signature=signature,
    )
    return Added(kept, "unchanged")


def _path_of(one: Incoming) -> str:
    if not one.path or one.path.endswith("/"):
        return f"{one.path}{one.source.name}"
    return one.path


def _check_digest(one: Incoming, staged: Staged) -> None:
    """Compare with the digest given, and with that of a `.DIGESTS` file beside the source."""
    expected = {read_sha512(one.sha512): "the one given"} if one.sha512 else {}
    listed = one.source.with_name(f"{one.source.name}.DIGESTS")
    if listed.is_file():
        found = read_digests(listed.read_text(errors="replace")).get(one.source.name)
        if found:
            expected.setdefault(found, f"that in {listed.name}")
    for digest, origin in expected.items():
        if digest != staged.sha512:
            raise InvalidInput(
                f"{one.source.name} has the SHA-512 {staged.sha512[:16]}…, {origin} is "
                f"{digest[:16]}…: nothing was added",
                kind="wrong_digest",
            )


def _signature_of(source: Path) -> Path | None:
    """The signature beside a file. Flatcar's `.DIGESTS.asc` is none: it holds the text itself."""
    suffixes = _SIGNATURES[:1] if source.name.endswith(".DIGESTS") else _SIGNATURES
    beside = (source.with_name(f"{source.name}{suffix}") for suffix in suffixes)
    return next((file for file in beside if file.is_file()), None)


def _checked_signature(
    staged: Staged, signature: Staged, keyring: Path | None, name: str
) -> Signature:
    if keyring is None:
        return Signature("unverified", file=signature.path)
    found = check_signature(staged.part, signature.part, keyring)
    if found.state == "bad":
        raise InvalidInput(f"{name}: {found.remark}: nothing was added", kind="bad_signature")
    return replace(found, file=signature.path)


def _names_below(release: Path) -> list[str]:
    """All files below a folder, relative; a link counts when it leads to a file inside."""
    names = []
    for file in sorted(release.rglob("*")):
        name = file.relative_to(release).as_posix()
        if file.is_symlink() and not file.resolve().is_relative_to(release):
            raise InvalidInput(f"{name} is a link that leads out of the folder")
        if file.is_file():
            names.append(name)
    return names
