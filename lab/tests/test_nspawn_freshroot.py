"""A fresh root keeps the data, and is made to its end however often it is killed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lab.drivers.nspawn.freshroot import KEPT, make_fresh, read_keep_paths

KEEP = (*KEPT, "/var/lib/etcd*", "/var/lib/containerd", "/srv/a/b")
KEPT_FILES = {
    "etc/ssh/ssh_host_key": "key",
    "var/lib/enjoliver/agent/update.json": "{}",
    "var/lib/etcd3/kubernetes/wal": "wal",
    "var/lib/containerd/x/y": "layer",
    "srv/a/b/c": "data",
}
OTHER_FILES = {
    "etc/hostname": "old",
    "etc/ssh/sshd_config.d/x": "old",
    "srv/a/c": "old",
    "var/lib/systemd/x": "old",
    "opt/enjoliver/agent": "old",
}


@pytest.fixture
def disk(tmp_path):
    """A disk whose root holds data and other things."""
    for name, text in (KEPT_FILES | OTHER_FILES).items():
        path = tmp_path / "upper" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "upper/var/lib/etcd3").chmod(0o700)
    return tmp_path


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_data_is_kept_and_nothing_else(disk):
    make_fresh(disk, KEEP)
    assert contents(disk / "upper") == KEPT_FILES
    assert (disk / "upper/var/lib/etcd3").stat().st_mode & 0o7777 == 0o700
    assert sorted(path.name for path in disk.iterdir()) == ["upper"]


def test_the_first_root_of_a_disk_is_empty(tmp_path):
    make_fresh(tmp_path, KEEP)
    assert contents(tmp_path / "upper") == {}


class Killed(BaseException):
    pass


@pytest.mark.parametrize("steps", range(16))
def test_killed_at_any_step_it_goes_on(disk, monkeypatch, steps):
    left = [steps]

    def counted(real):
        def step(*args, **kwargs):
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            return real(*args, **kwargs)

        return step

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", counted(Path.rename))
        patch.setattr(Path, "mkdir", counted(Path.mkdir))
        patch.setattr(shutil, "rmtree", counted(shutil.rmtree))
        try:
            make_fresh(disk, KEEP)
        except Killed:
            pass
        else:
            assert left[0] >= 0
    make_fresh(disk, KEEP)
    assert contents(disk / "upper") == KEPT_FILES


def test_what_ignition_half_wrote_is_gone_at_the_next_try(disk):
    make_fresh(disk, KEEP)
    (disk / "upper/etc/half").write_text("x")
    make_fresh(disk, KEEP)
    assert contents(disk / "upper") == KEPT_FILES


def test_nothing_outside_of_the_root_is_reached_by_a_symbolic_link(disk, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    (outside / "etcd").mkdir()
    (outside / "etcd/data").write_text("the computer's")
    shutil.rmtree(disk / "upper/var/lib")
    (disk / "upper/var/lib").symlink_to(outside)
    make_fresh(disk, KEEP)
    assert (outside / "etcd/data").read_text() == "the computer's"
    assert not (disk / "upper/var").exists()


def test_patterns_are_absolute_and_lead_upwards_nowhere():
    text = "/var/lib/etcd*\nrelative\n/a/../../etc\n\n /srv/x \n"
    assert read_keep_paths(text) == ("/var/lib/etcd*", "/srv/x")
