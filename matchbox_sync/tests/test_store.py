"""matchbox's directory: atomic, remembered, repaired, and never more written than needed."""

import json
import os
import shutil

import pytest

from matchbox_sync.store import MatchboxStore


def fresh(tmp_path):
    return MatchboxStore(tmp_path, "default")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def filled(tmp_path):
    store = fresh(tmp_path)
    store.put("groups/a.json", "k1", b"one")
    store.put("groups/b.json", "k1", b"two")
    store.save()
    return fresh(tmp_path)


def test_a_file_appears_whole_and_no_draft_stays_behind(tmp_path):
    store = filled(tmp_path)
    assert (tmp_path / "groups/a.json").read_bytes() == b"one"
    assert names(tmp_path / "groups") == ["a.json", "b.json"]
    assert names(tmp_path / ".enjoliver/tmp") == []
    assert store.writes == 0


def test_what_was_written_is_current_in_the_next_run(tmp_path):
    store = filled(tmp_path)
    assert store.is_current("groups/a.json", "k1")
    assert not store.is_current("groups/a.json", "k2")
    assert not store.is_current("groups/c.json", "k1")


@pytest.mark.parametrize("damage", ["truncate", "replace", "delete"])
def test_a_damaged_file_is_not_current_and_is_written_again(tmp_path, damage):
    filled(tmp_path)
    file = tmp_path / "groups/a.json"
    if damage == "delete":
        file.unlink()
    else:
        file.write_bytes(b"" if damage == "truncate" else b"eno")
        os.utime(file, (0, 0))  # a coarse clock gives two writes of one moment the same time
    store = fresh(tmp_path)
    assert not store.is_current("groups/a.json", "k1")
    assert store.put("groups/a.json", "k1", b"one")
    assert file.read_bytes() == b"one"


def test_a_deleted_directory_is_made_again(tmp_path):
    filled(tmp_path)
    shutil.rmtree(tmp_path)
    store = fresh(tmp_path)
    assert not store.is_current("groups/a.json", "k1")
    store.put("groups/a.json", "k1", b"one")
    assert (tmp_path / "groups/a.json").exists()


@pytest.mark.parametrize("manifest", ["", "{", "[]", '{"groups/a.json": 3}', '{"a": ["x"]}'])
def test_a_lost_manifest_rewrites_nothing_that_is_right(tmp_path, manifest):
    filled(tmp_path)
    (tmp_path / ".enjoliver/default.json").write_text(manifest)
    store = fresh(tmp_path)
    assert not store.put("groups/a.json", "k1", b"one")
    assert store.writes == 0
    assert store.is_current("groups/a.json", "k1")


def test_only_our_own_files_are_deleted(tmp_path):
    store = filled(tmp_path)
    (tmp_path / "groups/site.json").write_text("{}")
    store = fresh(tmp_path)
    store.delete_others("groups", {"groups/a.json"})
    store.save()
    assert names(tmp_path / "groups") == ["a.json", "site.json"]
    assert store.foreign("groups") == ["groups/site.json"]
    assert store.deletions == 1


def test_a_full_disk_leaves_the_old_file_and_no_draft(tmp_path, monkeypatch):
    store = filled(tmp_path)

    def no_space(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", no_space)
    with pytest.raises(OSError, match="No space"):
        store.put("groups/a.json", "k2", b"new")
    assert (tmp_path / "groups/a.json").read_bytes() == b"one"
    assert names(tmp_path / ".enjoliver/tmp") == []


def test_two_clusters_do_not_delete_each_others_files(tmp_path):
    filled(tmp_path)
    other = MatchboxStore(tmp_path, "other")
    other.put("groups/other-a.json", "k", b"x")
    other.delete_others("groups", {"groups/other-a.json"})
    assert (tmp_path / "groups/a.json").exists()


def test_the_manifest_is_only_written_when_something_changed(tmp_path):
    store = filled(tmp_path)
    before = (tmp_path / ".enjoliver/default.json").stat().st_mtime_ns
    store.save()
    assert (tmp_path / ".enjoliver/default.json").stat().st_mtime_ns == before
    assert json.loads((tmp_path / ".enjoliver/default.json").read_text())
