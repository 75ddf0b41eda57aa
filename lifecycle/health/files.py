"""Files of gates: certificates, keys, tokens. Only below one directory, and only small ones.

A gate is edited in the console: without this limit whoever may edit one could have any file of the
engine's machine sent to a server of theirs.
"""

from __future__ import annotations

import os
import ssl
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lifecycle.health.asking import Ask, CheckFailed, Config

MAX_FILE_BYTES = 1024 * 1024


def find_file(ask: Ask, name: str) -> Path:
    """The file `name` below the directory of the gates' files, links followed; raises
    CheckFailed."""
    try:
        folder = ask.files.resolve(strict=True)
        found = (folder / name).resolve(strict=True)
        info = found.stat()
    except (OSError, RuntimeError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise CheckFailed(f"the file {name} cannot be read in {ask.files}: {why}") from error
    if not found.is_relative_to(folder):
        raise CheckFailed(f"the file {name} leads out of {ask.files}")
    if not stat.S_ISREG(info.st_mode) or info.st_size > MAX_FILE_BYTES:
        raise CheckFailed(f"{name} is no file of at most {MAX_FILE_BYTES} bytes")
    return found


def read_file(ask: Ask, name: str) -> str:
    """Its text, without white space around it; raises CheckFailed."""
    try:
        return find_file(ask, name).read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        raise CheckFailed(f"the file {name} cannot be read as text") from error


def tls_context(ask: Ask, config: Config) -> ssl.SSLContext:
    """Trust and identity as `ca_file`, `client_cert_file` and `client_key_file` say; without a CA
    the system's. Raises CheckFailed."""
    ca = read_file(ask, config["ca_file"]) if "ca_file" in config else ""
    certificate = config.get("client_cert_file")
    key = config.get("client_key_file")
    pair = (read_file(ask, certificate), read_file(ask, key)) if certificate and key else None
    return make_context(ca, pair)


def make_context(ca: str, pair: tuple[str, str] | None) -> ssl.SSLContext:
    """The same of PEM texts; `pair` is the client's certificate and key. Raises CheckFailed."""
    try:
        context = ssl.create_default_context(cadata=ca or None)
        if pair:
            with _in_memory(pair[0]) as certificate, _in_memory(pair[1]) as key:
                context.load_cert_chain(certificate, key, password=_no_password)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise CheckFailed(f"certificates or key cannot be used: {error}") from error
    return context


def _no_password() -> str:
    """Never asked on the terminal of whoever runs a check."""
    raise ValueError("the key has a password")


@contextmanager
def _in_memory(pem: str) -> Iterator[str]:
    """A path for OpenSSL, which reads keys from files only; nothing reaches a disk."""
    descriptor = os.memfd_create("health-gate")
    try:
        os.write(descriptor, pem.encode() + b"\n")
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
