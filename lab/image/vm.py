"""The system image of the virtual machines: kernel, initrd, squashfs; cached by their inputs."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lab.drivers.base import Asset, Say
from lab.errors import LabFailed
from lab.image import vmroot
from lab.image.live import write_live
from lab.image.root import EPOCH, HERE, one_at_a_time
from lab.paths import REPOSITORY
from lab.programs import run

IGNITION = REPOSITORY / ".cache" / "bin" / "ignition"
KERNEL, INITRD, ROOT = "vmlinuz", "initrd", "root.squashfs"
LIVE, SUMS = "initrd-live", "SHA512SUMS"
_DRACUT_MODULE = "95enjoliver-lab"
_DRACUT_MODULES = "base udev-rules enjoliver-lab"
_DRACUT = HERE / "dracut"
_RECIPE = "1"
"""Goes up when this code builds another image from the same inputs."""
_SECONDS = 1800.0
_LEFT_OUT = (
    "boot/*",
    "var/cache/apt/*",
    "var/lib/apt/lists/*",
    "var/log/*",
    "usr/lib/dracut",
    *(f"usr/share/{name}/*" for name in ("doc", "info", "locale", "man", "perl")),
    "usr/lib/*-linux-gnu/perl",
    "usr/lib/udev/hwdb.d",
    "usr/lib/systemd/system/dracut*",
    "usr/lib/systemd/system/*.wants/dracut*",
)
"""Not needed in a machine, and all of it would be carried in RAM."""


@dataclass(frozen=True, slots=True)
class VmImage:
    """A built image: its folder, and the version that names it below /assets."""

    folder: Path
    version: str

    @property
    def kernel(self) -> Path:
        """The kernel, of the network boot and of the disk."""
        return self.folder / KERNEL

    @property
    def is_built(self) -> bool:
        """Whether it lies in the cache; it takes its name when it is whole."""
        return self.folder.exists()

    def values(self) -> dict[str, object]:
        """The cluster values with which machines boot and install it."""
        return {
            "boot_kernel": f"{self.version}/{KERNEL}",
            "boot_initrd": f"{self.version}/{LIVE}",
            "install_version": self.version,
        }

    def assets(self) -> list[Asset]:
        """What the engine serves: for the network boot, and for the installer."""
        names = (KERNEL, INITRD, ROOT, LIVE, SUMS)
        return [Asset(self.folder / name, f"{self.version}/{name}") for name in names]


def image_of(cache: Path) -> VmImage:
    """The image of today's inputs, whether it is built or not."""
    if not IGNITION.exists():
        raise LabFailed("Ignition is not built yet: run `make setup`.")
    version = f"lab-vm-{_key()[:16]}"
    return VmImage(cache / version, version)


def build(cache: Path, say: Say) -> VmImage:
    """The image, built where the cache has none of these inputs; LabFailed says what is missing."""
    image = image_of(cache)
    with one_at_a_time(cache / "vm.lock"):
        if not image.is_built:
            say("The image of the virtual machines is built: a minute or two.")
            _build(image, cache, say)
    return image


def _key() -> str:
    said = hashlib.sha256()
    for text in (_RECIPE, vmroot.spec().digest(), *vmroot.overlay_words()):
        said.update(text.encode() + b"\0")
    for path in (IGNITION, *sorted((_DRACUT / _DRACUT_MODULE).iterdir())):
        is_program = os.access(path, os.X_OK)
        said.update(f"{path.name} {is_program} ".encode())
        said.update(hashlib.sha256(path.read_bytes()).digest())
    return said.hexdigest()


def _build(image: VmImage, cache: Path, say: Say) -> None:
    """All files in a draft folder beside; it takes its name when everything is in it."""
    for left in cache.glob("vm-draft-*"):
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(prefix="vm-draft-", dir=cache) as name:
        draft, root = Path(name) / "image", Path(name) / "root"
        draft.mkdir(mode=0o755)
        vmroot.lay_out(cache, root, say)
        release = _kernel_release(root)
        shutil.copyfile(root / f"boot/vmlinuz-{release}", draft / KERNEL)
        _make_initrd(root, release, draft / INITRD)
        _make_squashfs(root, draft / ROOT)
        write_live(draft / INITRD, draft / ROOT, draft / LIVE)
        _write_sums(draft)
        draft.rename(image.folder)


def _kernel_release(root: Path) -> str:
    releases = sorted(path.name for path in (root / "usr/lib/modules").iterdir())
    if len(releases) != 1:
        raise LabFailed(f"the image has not one kernel but {len(releases)}: {releases}")
    return releases[0]


def _make_initrd(root: Path, release: str, target: Path) -> None:
    """dracut inside the root, with its own view of /proc and /dev that ends with it."""
    module = root / "usr/lib/dracut/modules.d" / _DRACUT_MODULE
    shutil.copytree(_DRACUT / _DRACUT_MODULE, module)
    shutil.copyfile(IGNITION, module / "ignition")
    dracut = ["dracut", "--force", "--no-hostonly", "--no-early-microcode", "--reproducible"]
    dracut += ["--zstd", "--modules", _DRACUT_MODULES, "--kver", release, "/boot/initrd"]
    script = (
        'mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && root=$1 && shift && '
        'exec chroot "$root" "$@"'
    )
    command = ["unshare", "--mount", "sh", "-c", script, "sh", str(root), *dracut]
    run(command, environment={"SOURCE_DATE_EPOCH": str(EPOCH)}, seconds=_SECONDS)
    shutil.copyfile(root / "boot/initrd", target)
    shutil.rmtree(module)


def _make_squashfs(root: Path, target: Path) -> None:
    command = ["mksquashfs", str(root), str(target), "-noappend", "-quiet", "-no-progress"]
    command += ["-comp", "zstd", "-Xcompression-level", "15"]
    command += ["-all-time", str(EPOCH), "-mkfs-time", str(EPOCH)]
    run([*command, "-wildcards", "-e", *_LEFT_OUT], seconds=_SECONDS)


def _write_sums(folder: Path) -> None:
    lines = []
    for name in (KERNEL, INITRD, ROOT):
        with (folder / name).open("rb") as file:
            lines.append(f"{hashlib.file_digest(file, 'sha512').hexdigest()}  {name}\n")
    (folder / SUMS).write_text("".join(lines))
