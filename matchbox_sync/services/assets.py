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
from matchbox_sync.assets.incoming import Incoming, signature_of
from matchbox_sync.assets.manifest import KINDS, Asset, Signature
from matchbox_sync.assets.naming import clean_path, guess_kind, guess_version
from matchbox_sync.assets.signatures import check_signature
from matchbox_sync.services.assetuse import asset_uses, uses_of


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
    path = clean_path(one.place())
    signature_file = one.signature or signature_of(one.source)
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


def _checked_signature(
    staged: Staged, signature: Staged, keyring: Path | None, name: str
) -> Signature:
    if keyring is None:
        return Signature("unverified", file=signature.path)
    found = check_signature(staged.part, signature.part, keyring)
    if found.state == "bad":
        raise InvalidInput(f"{name}: {found.remark}: nothing was added", kind="bad_signature")
    return replace(found, file=signature.path)
