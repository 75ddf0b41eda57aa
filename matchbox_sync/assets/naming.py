"""Paths of assets, and what their names say: kind and version. Pure."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from enjoliver.common.errors import InvalidInput

MAX_NAME = 200
"""Characters of a file name; room is left for the names of files that are being written."""
_PART = re.compile(rf"[A-Za-z0-9_@][A-Za-z0-9_.@-]{{0,{MAX_NAME - 1}}}", re.ASCII)
_VERSION = re.compile(r"v?\d+(?:\.\d+){1,3}(?:[-+][0-9A-Za-z.-]+)?", re.ASCII)
_KINDS = (
    ("other", re.compile(r"\.(sig|asc|DIGESTS|sha512|txt|json|sh)$|\.DIGESTS\.")),
    ("agent", re.compile(r"^enjoliver-agent")),
    ("kernel", re.compile(r"vmlinuz|^bzImage|^linux$|\.kernel$|^Image$")),
    ("initrd", re.compile(r"initrd|initramfs|\.cpio(\.|$)")),
    ("image", re.compile(r"_image\.|\.(img|raw|iso|qcow2|squashfs)(\.|$)|\.bin\.(bz2|zst|xz|gz)$")),
)
"""Asked in this order: Flatcar's `…_pxe_image.cpio.gz` is an initrd."""


def is_hidden(path: str) -> bool:
    """Whether a part of the path begins with a dot: never served, listed or added.

    The manifest, its lock and files that are still being written have such names.
    """
    return any(part.startswith(".") for part in PurePosixPath(path).parts)


def clean_path(text: str) -> str:
    """The path below /assets that `text` means; raises InvalidInput.

    Letters, digits and `_.@-`, as the cluster values that name assets; no part begins with a dot.
    """
    parts = text.removeprefix("/assets/").split("/")
    for part in parts:
        if not _PART.fullmatch(part):
            raise InvalidInput(
                f"{text[:200]!r} is no path of an asset: parts of letters, digits and _.@-, at "
                f"most {MAX_NAME} of them, that do not begin with a dot or a dash",
                kind="invalid_path",
            )
    return "/".join(parts)


def guess_kind(name: str) -> str:
    """What a file of this name is: kernel, initrd, image, agent or other."""
    name = PurePosixPath(name).name
    return next((kind for kind, pattern in _KINDS if pattern.search(name)), "other")


def guess_version(path: str) -> str:
    """The innermost folder whose name is a version, "" when none is."""
    folders = PurePosixPath(path).parts[:-1]
    return next((part for part in reversed(folders) if _VERSION.fullmatch(part)), "")


def version_of_release(text: str) -> str:
    """The version in a Flatcar `version.txt`, "" when there is none."""
    found = re.search(r"^FLATCAR_VERSION=[\"']?([A-Za-z0-9.+-]+)", text, re.MULTILINE)
    return found[1] if found else ""
