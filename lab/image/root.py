"""The lab's system as a root directory: Debian's packages, and `files/` laid over them.

Cached by a digest of all that goes into it; a machine's image is the same directory as `.tar.zst`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lab.drivers.base import Say
from lab.errors import LabFailed

HERE = Path(__file__).resolve().parent
FILES = HERE / "files"
EPOCH = 1735689600
"""2025-01-01: the time of every file that has none of its own (SOURCE_DATE_EPOCH)."""
_SECONDS = 1800
_FORMAT = "1"
"""Counted up when this module builds something else out of the same inputs."""
_OLDER_SUITES = {"jammy": ("systemd-resolved",)}
"""Packages that are part of others there."""

PACKAGES = (
    "ca-certificates",
    "curl",
    "dbus",
    "iproute2",
    "iputils-ping",
    "kmod",
    "less",
    "lldpd",
    "openssh-server",
    "procps",
    "sudo",
    "systemd",
    "systemd-resolved",
    "systemd-sysv",
    "systemd-timesyncd",
    "udev",
    "util-linux",
    "zstd",
)


@dataclass(frozen=True, slots=True)
class RootSpec:
    """What a root is made of: packages besides `PACKAGES`, and folders laid over it in order."""

    packages: Sequence[str] = ()
    overlays: Sequence[Path] = (FILES,)
    suite: str = field(default_factory=lambda: host_suite())

    def names(self) -> list[str]:
        """All packages of it, sorted."""
        left_out = _OLDER_SUITES.get(self.suite, ())
        return sorted({*PACKAGES, *self.packages} - set(left_out))

    def digest(self) -> str:
        """A text that changes whenever something else would be built."""
        said = hashlib.sha256()
        for text in (_FORMAT, self.suite, str(EPOCH), *self.names()):
            said.update(f"{text}\n".encode())
        for folder in self.overlays:
            for path in sorted(folder.rglob("*")):
                said.update(f"{path.relative_to(folder)} {_mode(path):o}\n".encode())
                if path.is_file():
                    said.update(hashlib.sha256(path.read_bytes()).digest())
        return said.hexdigest()[:24]


@dataclass(frozen=True, slots=True)
class RootImage:
    """A built root: the directory, the same packed, and the packed file's SHA-512."""

    folder: Path
    archive: Path
    sha512: str


def host_suite() -> str:
    """The release that this computer runs (Debian's or Ubuntu's code name); raises LabFailed."""
    said: dict[str, str] = {}
    for line in Path("/etc/os-release").read_text().splitlines():
        name, _, value = line.partition("=")
        said[name] = value.strip('"')
    if said.get("ID") not in ("debian", "ubuntu") or not said.get("VERSION_CODENAME"):
        raise LabFailed("The lab's image is built on Debian or Ubuntu; this is neither.")
    return said["VERSION_CODENAME"]


def build_root(cache: Path, say: Say, spec: RootSpec | None = None) -> RootImage:
    """The root of `spec`, out of `cache` when nothing has changed; raises LabFailed."""
    spec = spec or RootSpec()
    folder = cache / f"root-{spec.digest()}"
    with one_at_a_time(cache / "root.lock"):
        if not folder.exists():
            say(f"building the lab's system ({spec.suite}), half a minute or more")
            _build(folder, spec)
    return RootImage(folder / "root", folder / "root.tar.zst", (folder / "sha512").read_text())


@contextmanager
def one_at_a_time(lock: Path) -> Iterator[None]:
    """Builds of the same thing wait for each other; the kernel ends it with the process."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(folder: Path, spec: RootSpec) -> None:
    """Build beside, rename at the end: a killed build leaves nothing that counts."""
    for left in folder.parent.glob("building-root-*"):
        shutil.rmtree(left)
    draft = Path(tempfile.mkdtemp(prefix="building-root-", dir=folder.parent))
    draft.chmod(0o755)
    root = draft / "root"
    command = ["mmdebstrap", "--quiet", "--variant=minbase", "--format=directory"]
    command += [f"--include={','.join(spec.names())}", *_mirror_options()]
    _run([*command, spec.suite, str(root)], what="mmdebstrap")
    for overlay in spec.overlays:
        _lay_over(overlay, root)
    _settle(root)
    archive = draft / "root.tar.zst"
    pack(root, archive)
    with archive.open("rb") as file:
        (draft / "sha512").write_text(hashlib.file_digest(file, "sha512").hexdigest())
    draft.rename(folder)


def _mirror_options() -> list[str]:
    """lldpd is in Ubuntu's `universe`."""
    is_ubuntu = "ID=ubuntu" in Path("/etc/os-release").read_text().splitlines()
    return ["--components=main,universe"] if is_ubuntu else []


def _lay_over(overlay: Path, root: Path) -> None:
    for path in sorted(overlay.rglob("*")):
        target = root / path.relative_to(overlay)
        if path.is_dir():
            target.mkdir(exist_ok=True)
        else:
            shutil.copyfile(path, target)
            target.chmod(_mode(path))


def _mode(path: Path) -> int:
    """Only who may run a file comes out of a work tree; the rest is the same for everybody."""
    return 0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644


def _settle(root: Path) -> None:
    """What makes it an image: no identity of its own, and presets decide what starts."""
    for name in ("etc/hostname", "etc/resolv.conf", *_names(root, "etc/ssh/ssh_host_*")):
        (root / name).unlink(missing_ok=True)
    (root / "etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
    # Then the first start applies presets, and so enables what Ignition wants.
    (root / "etc/machine-id").write_text("uninitialized\n")
    for folder in ("var/log/journal", "oem", "lab"):
        (root / folder).mkdir(exist_ok=True)
    for path in (root / "etc/sudoers.d").iterdir():
        path.chmod(0o440)
    _run(["chroot", str(root), "systemctl", "preset-all"], what="systemctl preset-all")


def _names(root: Path, pattern: str) -> list[str]:
    return [str(path.relative_to(root)) for path in root.glob(pattern)]


def pack(root: Path, archive: Path) -> None:
    """The directory as `.tar.zst`: names sorted, no newer time than `EPOCH`."""
    tar = ["tar", "--create", "--sort=name", "--numeric-owner", "--xattrs", "--acls"]
    tar += ["--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime"]
    tar += [f"--mtime=@{EPOCH}", "--clamp-mtime", "--use-compress-program=zstd -9 -T0"]
    _run([*tar, f"--file={archive}", f"--directory={root}", "."], what="tar")


def unpack(archive: Path, root: Path) -> None:
    """The other way round; `root` is made. Raises LabFailed."""
    root.mkdir()
    tar = ["tar", "--extract", "--numeric-owner", "--xattrs", "--acls", "--same-permissions"]
    tar += ["--use-compress-program=zstd -d", f"--file={archive}", f"--directory={root}"]
    _run(tar, what="tar")


def _run(command: Sequence[str], *, what: str) -> None:
    environment: Mapping[str, str] = {
        **os.environ,
        "SOURCE_DATE_EPOCH": str(EPOCH),
        "LC_ALL": "C.UTF-8",
    }
    try:
        done = subprocess.run(
            list(command),
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except FileNotFoundError as error:
        raise LabFailed(f"{what}: {command[0]} is not installed on this computer.") from error
    except subprocess.TimeoutExpired as error:
        raise LabFailed(f"{what} did not end within {_SECONDS} s.") from error
    if done.returncode:
        last = "\n".join((done.stderr or done.stdout).splitlines()[-15:])
        raise LabFailed(f"{what} ended with {done.returncode}:\n{last}")
