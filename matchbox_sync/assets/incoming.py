"""Files that are to become assets: one, or those of a release's folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from enjoliver.common.errors import InvalidInput
from matchbox_sync.assets.naming import (
    guess_kind,
    guess_version,
    is_hidden,
    version_of_release,
)

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

    def place(self) -> str:
        """Its path below the assets, as far as it was said."""
        if not self.path or self.path.endswith("/"):
            return f"{self.path}{self.source.name}"
        return self.path


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
    signed = {name: signature_of(release / name) for name in names}
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


def signature_of(source: Path) -> Path | None:
    """The signature beside a file. Flatcar's `.DIGESTS.asc` is none: it holds the text itself."""
    suffixes = _SIGNATURES[:1] if source.name.endswith(".DIGESTS") else _SIGNATURES
    beside = (source.with_name(f"{source.name}{suffix}") for suffix in suffixes)
    return next((file for file in beside if file.is_file()), None)


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
