"""Detached OpenPGP signatures, checked by gpgv with a keyring that the operator gives."""

from __future__ import annotations

import base64
import binascii
import re
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from enjoliver.common.errors import InvalidInput
from matchbox_sync.assets.manifest import Signature

SECONDS = 600
"""For gpgv to read a file; images have gigabytes."""
_ARMOUR = re.compile(
    rb"-----BEGIN PGP PUBLIC KEY BLOCK-----(.*?)-----END PGP PUBLIC KEY BLOCK-----", re.DOTALL
)


def check_signature(file: Path, signature: Path, keyring: Path) -> Signature:
    """What gpgv says of `signature` over `file`: verified or bad, with key and remark.

    The keyring may be armoured, as publishers offer it. Raises InvalidInput when it cannot be
    read, or when gpgv is not there.
    """
    with tempfile.TemporaryDirectory(prefix="enjoliver-gpgv-") as home:
        keys = Path(home) / "keys.gpg"
        keys.write_bytes(_binary_keys(keyring))
        command = ["gpgv", "--homedir", home, "--status-fd", "1", "--keyring", str(keys)]
        try:
            done = subprocess.run(
                [*command, str(signature), str(file)],
                capture_output=True,
                check=False,
                timeout=SECONDS,
            )
        except FileNotFoundError as error:
            raise InvalidInput("gpgv is not installed: apt-get install gpgv") from error
        except subprocess.TimeoutExpired as error:
            raise InvalidInput(f"gpgv did not end within {SECONDS} s") from error
    return read_status(done.stdout.decode(errors="replace").splitlines(), done.returncode)


def read_status(lines: Iterable[str], exit_status: int) -> Signature:
    """Read gpgv's status lines (doc/DETAILS of GnuPG, "Format of the --status-fd output").

    A key that has expired since it signed is accepted and told: Flatcar's signing keys live for
    about a year, its releases longer. A revoked one is not.
    """
    said = [line.split()[1:] for line in lines if line.startswith("[GNUPG:] ")]
    words = {entry[0]: entry[1:] for entry in said if entry}
    key = words.get("VALIDSIG", [""])[0]
    if "REVKEYSIG" in words:
        return Signature("bad", key=key, remark="the key that signed it was revoked")
    if "BADSIG" in words or "EXPSIG" in words:
        reason = "the signature is of other content" if "BADSIG" in words else "it has expired"
        return Signature("bad", key=key, remark=reason)
    if "EXPKEYSIG" in words and key:
        signed, expired = _times(words)
        if signed and expired and signed < expired:
            return Signature("verified", key=key, remark="by a key that has expired since")
        return Signature("bad", key=key, remark="the key that signed it had expired")
    if "GOODSIG" in words and key and exit_status == 0:
        return Signature("verified", key=key)
    if "NO_PUBKEY" in words:
        remark = f"the key {' '.join(words['NO_PUBKEY'])} that signed it is not in the keyring"
        return Signature("bad", remark=remark)
    return Signature("bad", key=key, remark="gpgv finds no good signature in it")


def _times(words: dict[str, list[str]]) -> tuple[int, int]:
    """When it was signed and when the key expired, in Unix seconds; 0 where not told."""
    valid, expired = words.get("VALIDSIG", []), words.get("KEYEXPIRED", [])
    signed_at = valid[2] if len(valid) > 2 else ""
    expired_at = expired[0] if expired else ""
    return (
        int(signed_at) if signed_at.isdecimal() else 0,
        int(expired_at) if expired_at.isdecimal() else 0,
    )


def _binary_keys(keyring: Path) -> bytes:
    """The keyring as gpgv takes it; armour (RFC 4880 §6.2) is taken off."""
    try:
        data = keyring.read_bytes()
    except OSError as error:
        raise InvalidInput(f"the keyring cannot be read: {error}") from error
    if b"-----BEGIN PGP" not in data:
        return data
    try:
        return b"".join(_unarmoured(block) for block in _ARMOUR.findall(data))
    except (binascii.Error, ValueError) as error:
        raise InvalidInput(f"{keyring}: the armour is damaged: {error}") from error


def _unarmoured(block: bytes) -> bytes:
    """The bytes in one armoured block: headers end at an empty line, `=` begins the checksum."""
    lines = block.replace(b"\r", b"").split(b"\n")
    body = lines[lines.index(b"", 1) + 1 :] if b"" in lines[1:] else lines
    text = b"".join(line for line in body if line and not line.startswith(b"="))
    return base64.b64decode(text, validate=True)
