"""The image of the virtual machines: its archives, and what its initramfs does with a disk."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path

import pytest

from lab.image import cpio, vm
from lab.image.live import ROOT_INSIDE, write_live

HOOKS = vm._DRACUT / vm._DRACUT_MODULE
STAGE = Path(vm.__file__).parent / "files/usr/lib/enjoliver-lab/stage"


def _names(archive: bytes) -> list[str]:
    """The names in a newc archive, as its own headers lead from one to the next."""
    found, at = [], 0
    while archive[at : at + 6] == b"070701":
        size, length = (int(archive[at + i : at + i + 8], 16) for i in (54, 94))
        found.append(archive[at + 110 : at + 110 + length - 1].decode())
        at += (110 + length + 3) // 4 * 4
        at += (size + 3) // 4 * 4
    return found


class TestArchive:
    def test_files_come_after_the_folders_that_lead_to_them(self):
        output = io.BytesIO()
        cpio.write(output, [cpio.Entry("a/b/c", b"12345"), cpio.Entry("init", b"", True)])
        assert _names(output.getvalue()) == ["a", "a/b", "a/b/c", "init", "TRAILER!!!"]
        assert len(output.getvalue()) % cpio.ALIGNMENT == 0

    def test_the_same_files_give_the_same_bytes(self, tmp_path):
        archives = []
        for name in ("one", "two"):
            (tmp_path / name).write_bytes(b"content")
            output = io.BytesIO()
            cpio.write(output, [cpio.Entry("file", tmp_path / name)])
            archives.append(output.getvalue())
        assert archives[0] == archives[1]

    def test_the_second_segment_begins_where_the_kernel_looks_for_it(self, tmp_path):
        (tmp_path / "initrd").write_bytes(b"compressed, and of odd length")
        (tmp_path / "root").write_bytes(b"hsqs" + bytes(1000))
        write_live(tmp_path / "initrd", tmp_path / "root", tmp_path / "live")
        live = (tmp_path / "live").read_bytes()
        start = live.index(b"070701")
        assert start % 4 == 0
        assert live[:start].rstrip(b"\0") == b"compressed, and of odd length"
        assert ROOT_INSIDE in _names(live[start:])


@pytest.fixture
def disk(tmp_path):
    """What the initramfs has mounted of a disk: a used system, and the image's own /var."""
    lab = tmp_path / "lab"
    for name, text in {
        "disk/upper/etc/machine-id": "0123456789abcdef0123456789abcdef\n",
        "disk/upper/etc/ssh/ssh_host_ed25519_key": "key",
        "disk/upper/etc/hostname": "old",
        "disk/upper/mnt/ssd/etcd/member": "outside of /var",
        "disk/var/lib/etcd3/kubernetes/member": "data",
        "disk/var/lib/enjoliver/agent/update.json": "state",
        "disk/var/lib/other/file": "goes",
        "disk/var/lib/dpkg/status": "changed",
        "disk/var/log/journal/x": "log",
        "lower/var/lib/dpkg/status": "as in the image",
        "oem/keep-paths": "/var/lib/etcd*\n/mnt/ssd/etcd\n",
        "oem/first-boot": "",
    }.items():
        path = lab / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return lab


AFTER = {
    "upper/etc/machine-id": "0123456789abcdef0123456789abcdef\n",
    "upper/etc/ssh/ssh_host_ed25519_key": "key",
    "upper/mnt/ssd/etcd/member": "outside of /var",
    "var/lib/etcd3/kubernetes/member": "data",
    "var/lib/enjoliver/agent/update.json": "state",
    "var/lib/dpkg/status": "as in the image",
    "var/log/journal/x": "log",
}


def _reset(lab: Path, before: str = "") -> int:
    """Run the initramfs's own function on folders instead of a disk; its exit status."""
    script = f'{before}\n. "{HOOKS}/lab-lib.sh"\nsync() {{ :; }}\nlab_reset\n'
    done = subprocess.run(
        ["sh", "-c", script], env={**os.environ, "LAB": str(lab)}, capture_output=True, check=False
    )
    return done.returncode


def _files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


class TestReset:
    def test_a_fresh_root_keeps_the_data_and_who_the_machine_is(self, disk):
        assert _reset(disk) == 0
        assert _files(disk / "disk") == AFTER

    def test_a_second_one_changes_nothing(self, disk):
        assert _reset(disk) == 0
        assert _reset(disk) == 0
        assert _files(disk / "disk") == AFTER

    def test_a_pattern_is_matched_on_the_disk_and_not_where_the_initramfs_runs(self, disk):
        # /etc/pa* finds files in every system that runs this, such as passwd.
        (disk / "oem/keep-paths").write_text("/var/lib/etcd*\n/mnt/ssd/etcd\n/etc/pa*\n")
        (disk / "disk/upper/etc/pa kept").write_text("with a space in its name")
        assert _reset(disk) == 0
        assert _files(disk / "disk") == {**AFTER, "upper/etc/pa kept": "with a space in its name"}

    @pytest.mark.parametrize("program", ["mv", "rm", "cp"])
    def test_killed_before_any_step_the_next_start_ends_as_well(self, disk, program):
        count, is_killed = 0, True
        while is_killed:
            count += 1
            trap = (
                f"n=0\n{program}() {{ n=$((n + 1)); [ $n -lt {count} ] || exit 9; "
                f'command {program} "$@"; }}'
            )
            is_killed = _reset(disk, trap) == 9
            assert count < 30
            if is_killed:
                assert "data" in _files(disk / "disk").values()
        assert count > 1
        assert _reset(disk) == 0
        assert _files(disk / "disk") == AFTER


def test_a_staged_config_is_seen_whole_by_the_initramfs(tmp_path):
    """The installer's side writes the flag and the list that the initramfs reads."""
    (tmp_path / "new.ign").write_text("{}")
    environment = {
        "PATH": os.environ["PATH"],
        "ENJOLIVER_LAB_OEM": str(tmp_path / "oem"),
        "ENJOLIVER_STAGE_IGNITION": str(tmp_path / "new.ign"),
        "KUBERNETES_ETCD_DATA_DIR": "/mnt/ssd/etcd",
    }
    (tmp_path / "oem").mkdir()
    subprocess.run([str(STAGE)], env=environment, check=True)
    names = {path.name for path in (tmp_path / "oem").iterdir()}
    assert names == {"config.ign", "first-boot", "keep-paths"}
    assert "/mnt/ssd/etcd" in (tmp_path / "oem/keep-paths").read_text().splitlines()
    text = (HOOKS / "lab-lib.sh").read_text() + (HOOKS / "lab-ignition.sh").read_text()
    assert all(f"oem/{name}" in text for name in names)


def test_the_image_is_another_one_when_anything_in_it_changes(tmp_path, monkeypatch):
    overlay = tmp_path / "overlay"
    (overlay / "etc").mkdir(parents=True)
    (overlay / "etc/motd").write_text("one")
    (tmp_path / "ignition").write_bytes(b"program")
    monkeypatch.setattr(vm, "IGNITION", tmp_path / "ignition")
    monkeypatch.setattr("lab.image.vmroot.OVERLAY", overlay)
    versions = [vm.image_of(tmp_path).version]
    (overlay / "etc/motd").write_text("two")
    versions.append(vm.image_of(tmp_path).version)
    (overlay / "etc/motd").chmod(0o755)
    versions.append(vm.image_of(tmp_path).version)
    (tmp_path / "ignition").write_bytes(b"another program")
    versions.append(vm.image_of(tmp_path).version)
    assert len(set(versions)) == 4
