"""What a machine does before a system runs: DHCP, the boot script, kernel and initrd."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import http.client
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from lab.drivers.nspawn.settings import Settings
from simulator.ipxe import BootKernel, CommandFailed, Interpreter, Outcome

KERNEL_MARK = b"ENJOLIVER-LAB-KERNEL "
"""The first bytes of what boots here: a container has no kernel of its own."""
_SECONDS = 60
_SCRIPT_BYTES = 1 << 20
_TRIES = 3

Say = Callable[[str], None]


class NotBootable(Exception):
    """What the script loaded cannot run here; the text says why."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A system in memory: the packed root, its digest, and the kernel's arguments."""

    archive: Path
    sha512: str
    arguments: tuple[str, ...]

    @property
    def cmdline(self) -> str:
        """The arguments as the kernel sees them."""
        return " ".join(self.arguments)


@dataclass(slots=True)
class Firmware:
    """iPXE's way to the network. Files come into `downloads`, once for all machines."""

    downloads: Path
    say: Say
    images: dict[str, Path] = field(default_factory=dict)

    async def load_script(self, url: str) -> str:
        """Fetch a script; raises CommandFailed."""
        self.say(url)
        try:
            with urllib.request.urlopen(url, timeout=_SECONDS) as answer:  # noqa: S310
                body: bytes = answer.read(_SCRIPT_BYTES)
        except _NO_ANSWER as error:
            _close(error)
            raise CommandFailed(f"{url}: {error}") from error
        return body.decode("utf-8", "replace")

    async def load_image(self, url: str) -> None:
        """Fetch a kernel or initrd; raises CommandFailed."""
        self.say(url)
        for left in reversed(range(_TRIES)):
            try:
                self.images[url] = download(url, self.downloads)
                return
            except _NO_ANSWER as error:
                _close(error)
                if isinstance(error, urllib.error.HTTPError) or not left:
                    raise CommandFailed(f"{url}: {error}") from error
                time.sleep(1)

    async def pause(self, seconds: float) -> None:
        """A `sleep` of the script."""
        time.sleep(min(seconds, _SECONDS))

    def loaded(self, kernel: BootKernel) -> Loaded:
        """The system that the script chose; raises NotBootable."""
        with self.images[kernel.kernel].open("rb") as file:
            if not file.read(64).startswith(KERNEL_MARK):
                raise NotBootable(f"{kernel.kernel} is a real kernel, and this is a container")
        if len(kernel.initrds) != 1:
            raise NotBootable(f"{len(kernel.initrds)} initrds; a container boots exactly one")
        archive = self.images[kernel.initrds[0]]
        with archive.open("rb") as file:
            sha512 = hashlib.file_digest(file, "sha512").hexdigest()
        return Loaded(archive, sha512, kernel.arguments)


_NO_ANSWER = (OSError, http.client.HTTPException)


def run_script(firmware: Firmware, settings: Settings, url: str) -> Outcome:
    """Obey the boot script at `url`; what it came to. Raises CommandFailed without a script."""
    names = {
        "uuid": settings.uuid,
        "serial": settings.serial,
        "mac": settings.mac,
        "netX/mac": settings.mac,
    }

    async def obey() -> Outcome:
        text = await firmware.load_script(url)
        return await Interpreter(firmware, names).run(text, url)

    return asyncio.run(obey())


def download(url: str, folder: Path) -> Path:
    """A file of the network, kept by its address and tag; raises OSError or HTTPException."""
    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(url.encode()).hexdigest()[:32]
    kept, tag = folder / name, folder / f"{name}.tag"
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = {"If-None-Match": tag.read_text()} if kept.exists() and tag.exists() else {}
        request = urllib.request.Request(url, headers=known)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
                new = folder / f"{name}.new"
                with new.open("wb") as file:
                    shutil.copyfileobj(answer, file, 1 << 20)
                size = answer.headers.get("Content-Length")
                if size is not None and new.stat().st_size != int(size):
                    raise OSError("the file was cut off")
                tag.unlink(missing_ok=True)
                new.replace(kept)
                tag.write_text(answer.headers.get("ETag") or "")
        except urllib.error.HTTPError as error:
            if error.code != 304:
                raise
            _close(error)
    return kept


def _close(error: Exception) -> None:
    """An HTTP error is an answer too, and holds its connection."""
    if isinstance(error, urllib.error.HTTPError):
        error.close()
