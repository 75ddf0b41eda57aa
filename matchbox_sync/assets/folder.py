"""The assets folder: files come and go whole, and the manifest in it says what they are.

The manifest lies in the folder because it is about the folder: several engines may share it, each
with a database of its own, and whoever copies the folder takes along what is known of its files.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from enjoliver.common.errors import Conflict, InvalidInput
from matchbox_sync.assets.manifest import Asset, dump_manifest, parse_manifest
from matchbox_sync.assets.naming import is_hidden

MANIFEST = ".enjoliver-assets.json"
LOCK = ".enjoliver-assets.lock"
_CHUNK = 1024 * 1024
_MODE = 0o644  # what machines may read, everybody may


@dataclass(frozen=True, slots=True)
class Staged:
    """A file that is written, under a hidden name beside its place, and not visible yet.

    `held` carries the lock that tells it from what a killed writer left behind.
    """

    path: str
    part: Path
    size: int
    sha512: str
    held: BinaryIO

    def discard(self) -> None:
        """Let go of it; removes it where it has not become an asset."""
        self.part.unlink(missing_ok=True)
        self.held.close()


class AssetFolder:
    """The folder behind /assets. Writers take its lock, also those of other engines."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder's lock; short, files are copied outside of it."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / LOCK).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def read(self) -> dict[str, Asset]:
        """The manifest; empty when there is none. Raises InvalidInput when it cannot be read."""
        file = self.root / MANIFEST
        try:
            return parse_manifest(file.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise InvalidInput(f"{file} cannot be read, so nothing is done: {error}") from error

    def write(self, assets: Mapping[str, Asset]) -> None:
        """Replace the manifest, atomically. Call with the lock held."""
        part = self.root / f"{MANIFEST}.part"
        with part.open("wb") as file:
            os.fchmod(file.fileno(), _MODE)  # the engine may run as another user
            file.write(dump_manifest(assets))
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.root / MANIFEST)
        _sync_folder(self.root)

    def locate(self, path: str) -> Path:
        """The place of an asset, whether or not it is there; its parent has no links any more.

        Raises InvalidInput when links lead out of the folder.
        """
        place = self.root / path
        parent = place.parent.resolve()
        if not parent.is_relative_to(self.root):
            raise InvalidInput(f"{path} leads out of the assets", kind="outside_of_assets")
        return parent / place.name

    def real_path(self, path: str) -> str:
        """`path` without links, as the manifest names it: `current/x` may be `4230.2.3/x`."""
        with suppress(OSError, ValueError, RuntimeError):
            real = (self.root / path).resolve()
            if real.is_relative_to(self.root):
                return real.relative_to(self.root).as_posix()
        return path

    def files(self) -> Iterator[str]:
        """All files that are served under their own name, sorted by folder; no links."""
        for folder, folders, names in os.walk(self.root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                file = Path(folder) / name
                path = file.relative_to(self.root).as_posix()
                if not is_hidden(path) and file.is_file() and not file.is_symlink():
                    yield path

    def stage(self, source: Path, path: str, *, is_link: bool = False) -> Staged:
        """Copy or hard-link `source` beside its place and read its digest; raises InvalidInput."""
        place = self.locate(path)
        try:
            with source.open("rb") as content:
                part, held = self._new_part(source, place, is_link=is_link)
                try:
                    size, sha512 = _copy(content, None if is_link else held)
                except BaseException:
                    part.unlink(missing_ok=True)
                    held.close()
                    raise
        except OSError as error:
            raise InvalidInput(f"{source} cannot be taken: {error}") from error
        return Staged(place.relative_to(self.root).as_posix(), part, size, sha512, held)

    def _new_part(self, source: Path, place: Path, *, is_link: bool) -> tuple[Path, BinaryIO]:
        """A hidden file beside `place`, locked as long as it is open: nobody sweeps it away."""
        part = place.parent / f".{place.name}.{secrets.token_hex(4)}.part"
        with self.locked():
            self._sweep()
            place.parent.mkdir(parents=True, exist_ok=True)
            if is_link:
                os.link(source.resolve(), part)
            held: BinaryIO = part.open("rb") if is_link else part.open("xb")
            if not is_link:
                os.fchmod(held.fileno(), _MODE)
            with suppress(BlockingIOError):
                fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return part, held

    def _sweep(self) -> None:
        """Remove what writers left behind that were killed: their locks went with them."""
        for part in self.root.rglob(".*.part"):
            with suppress(OSError), part.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                part.unlink()

    def replace_with(self, staged: Staged) -> None:
        """Make a staged file the asset. Call with the lock held."""
        place = self.root / staged.path
        staged.part.replace(place)
        # Renaming one hard link over another of the same file does nothing (rename(2)).
        staged.part.unlink(missing_ok=True)
        _sync_folder(place.parent)

    def remove(self, path: str) -> None:
        """Remove an asset, and the folders that are empty then. Call with the lock held."""
        place = self.locate(path)
        place.unlink(missing_ok=True)
        for folder in place.parents:
            if folder == self.root or not _rmdir(folder):
                break

    def digest(self, path: str) -> tuple[int, str] | None:
        """Size and SHA-512 of the file as it is now; None when there is none. Raises OSError."""
        place = self.locate(path)
        if place.is_symlink() or not place.is_file():
            return None
        with place.open("rb") as content:
            return _copy(content, None)

    def check_place(self, staged: Staged, *, is_replacing: bool) -> bool:
        """Whether the place already has this content; raises Conflict when it has other content.

        Call with the lock held.
        """
        place = self.root / staged.path
        if place.is_symlink() or (place.exists() and not place.is_file()):
            raise Conflict(f"{staged.path} is no plain file: remove it first")
        if not place.exists():
            return False
        if place.stat().st_size == staged.size and self.digest(staged.path) == (
            staged.size,
            staged.sha512,
        ):
            return True
        if not is_replacing:
            raise Conflict(f"{staged.path} is there with other content; --replace replaces it")
        return False


def _copy(content: BinaryIO, target: BinaryIO | None) -> tuple[int, str]:
    """Read all of `content`, into `target` where one is given; its size and SHA-512."""
    digest, size = hashlib.sha512(), 0
    while chunk := content.read(_CHUNK):
        digest.update(chunk)
        size += len(chunk)
        if target:
            target.write(chunk)
    if target:
        target.flush()
        os.fsync(target.fileno())
    return size, digest.hexdigest()


def _sync_folder(folder: Path) -> None:
    """Bring a folder's new names to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _rmdir(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:
        return False
    return True
