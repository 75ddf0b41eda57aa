"""A libvirtd of the lab's own: in the lab's network namespace, with folders of its own.

The system's libvirtd, if there is one, is neither asked nor touched: machines that it started would
live in the computer's own network.
"""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

from lab.drivers.base import DriverFailed
from lab.errors import LabFailed
from lab.ledger import Ledger
from lab.netns import inside
from lab.paths import LabPaths
from lab.programs import start
from lab.templating import fill
from lab.wait import until

TEMPLATES = Path(__file__).parent / "templates"
_PART = "libvirtd"
_SOCKET = "libvirt/libvirt-sock"
_SECONDS = 600.0
# libvirtd has these paths built in. In a mount namespace of its own, ours lie over them; with /run
# it also finds no message bus, on which it would tell the system's services of our machines.
_SCRIPT = """set -eu
for pair in "$@"; do
  [ -e "${pair#*:}" ] || mkdir -p "${pair#*:}"
  mount --bind "${pair%%:*}" "${pair#*:}"
done
exec libvirtd --config /etc/libvirt/libvirtd.conf --pid-file /run/libvirtd.pid
"""
# libvirtd does not start where this user is not known, though no machine runs as it here; a package
# makes it that brings the system's own libvirtd, with its network, along.
_USERS = {
    "passwd": "libvirt-qemu:x:64055:64055::/nonexistent:/usr/sbin/nologin",
    "group": "libvirt-qemu:x:64055:",
}


class Daemon:
    """Starts it, stops it, and says where its socket is."""

    def __init__(self, paths: LabPaths, namespace: str) -> None:
        self._paths = paths
        self._namespace = namespace
        self._ledger = Ledger(paths)
        # A path of a socket has at most 107 bytes, and state directories may be deep.
        self.run_folder = Path("/run") / f"{namespace}-libvirt"

    @property
    def uri(self) -> str:
        """libvirt's address of it. https://libvirt.org/uri.html"""
        return f"qemu:///system?socket={self.run_folder}/{_SOCKET}"

    @property
    def log(self) -> Path:
        """What it said."""
        return self._paths.driver / "libvirtd.log"

    @property
    def is_running(self) -> bool:
        """Whether it runs; a machine that is off needs none."""
        return self._ledger.process(_PART) is not None

    def start(self) -> None:
        """Start it and wait for its socket; nothing when it runs."""
        if self.is_running:
            return
        self._ledger.note("folder", str(self.run_folder))
        self._lay_out()
        pairs = [f"{ours}:{theirs}" for theirs, ours in self._folders().items()]
        command = ["unshare", "--mount", "sh", "-c", _SCRIPT, "sh", *pairs]
        process = start(
            inside(self._namespace, command), folder=self._paths.root, part=_PART, log=self.log
        )
        self._ledger.put_process(_PART, process)
        try:
            until(
                lambda: _takes_calls(self.run_folder / _SOCKET) or not process.is_alive,
                seconds=_SECONDS,
                what="libvirtd's socket",
            )
        except LabFailed as error:
            raise DriverFailed(f"{error}; its log is {self.log}.") from error
        if not process.is_alive:
            raise DriverFailed(f"libvirtd ended at its start:\n{self._tail()}")

    def stop(self) -> None:
        """End it and remove its folders; machines that run would go on without it."""
        process = self._ledger.process(_PART)
        if process is not None:
            process.stop()
        self._ledger.put_process(_PART, None)
        if self._ledger.has("folder", str(self.run_folder)):
            shutil.rmtree(self.run_folder, ignore_errors=True)
            self._ledger.forget("folder", str(self.run_folder))

    def _folders(self) -> dict[str, Path]:
        """What libvirtd sees where. What it learned of qemu takes seconds: all labs share it."""
        return {
            "/etc/libvirt": self._paths.driver / "etc",
            "/var/lib/libvirt": self._paths.driver / "lib",
            "/var/log/libvirt": self._paths.driver / "log",
            "/var/cache/libvirt": self._paths.cache / "libvirt",
            **{f"/etc/{name}": self._paths.driver / name for name in _USERS},
            # Last: mount(8) itself writes below /run.
            "/run": self.run_folder,
        }

    def _lay_out(self) -> None:
        (self.run_folder / _SOCKET).unlink(missing_ok=True)
        self._paths.driver.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name, line in _USERS.items():
            (self._paths.driver / name).write_text(_with_user(Path("/etc", name), line))
        for folder in self._folders().values():
            if folder.name not in _USERS:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in ("qemu.conf", "libvirtd.conf"):
            text = fill(f"{name}.j2", TEMPLATES, lab=self._paths.name)
            (self._paths.driver / "etc" / name).write_text(text)

    def _tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-10:])


def _takes_calls(path: Path) -> bool:
    """Whether somebody listens: its file is there a moment before that."""
    with socket.socket(socket.AF_UNIX) as call:
        try:
            call.connect(str(path))
        except OSError:
            return False
        return True


def _with_user(file: Path, line: str) -> str:
    """The text of /etc/passwd or /etc/group, with the line where its name is not in there."""
    text = file.read_text()
    names = {row.split(":")[0] for row in text.splitlines()}
    return text if line.split(":")[0] in names else f"{text.rstrip()}\n{line}\n"
