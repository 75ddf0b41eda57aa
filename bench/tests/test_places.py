"""Folders of a run: kept states, copies, keys, and one run at a time."""

import os

import pytest

from bench.places import (
    AlreadyRunning,
    Place,
    mark_ready,
    open_workshop,
    read_ready,
    sources_key,
)
from bench.stages.storm import Asker, pick_sample


def test_a_kept_state_survives_and_scratch_does_not(tmp_path):
    with open_workshop(tmp_path) as workshop:
        kept = workshop.kept_dir("fleet-10", "a")
        made = workshop.new("fleet-10")
        (made.state_dir / "database").write_text("rows")
        mark_ready(made.state_dir, {"machines": 10})
        workshop.keep(made, kept)
    with open_workshop(tmp_path) as workshop:
        assert read_ready(workshop.kept_dir("fleet-10", "a")) == {"machines": 10}
        copy = workshop.copy(kept, "fleet-10")
        (copy.state_dir / "database").write_text("changed")
        assert read_ready(copy.state_dir) is None
    assert (kept / "database").read_text() == "rows"
    assert not copy.state_dir.exists()


def test_a_state_made_from_other_sources_is_forgotten(tmp_path):
    with open_workshop(tmp_path) as workshop:
        old = workshop.kept_dir("fleet-10", "a")
        other = workshop.kept_dir("fleet-100", "a")
        new = workshop.kept_dir("fleet-10", "b")
        assert (old.exists(), other.exists(), new.exists()) == (False, True, True)


def test_two_runs_in_one_folder_are_refused(tmp_path):
    with open_workshop(tmp_path), pytest.raises(AlreadyRunning), open_workshop(tmp_path):
        pass


def test_a_place_inherits_no_setting_of_another_engine(tmp_path, monkeypatch):
    monkeypatch.setenv("ENJOLIVER_BROKER_URL", "redis://elsewhere/0")
    monkeypatch.setenv("DATABASE_URL", "postgres://elsewhere/x")
    environment = Place(tmp_path).environment()
    assert "ENJOLIVER_BROKER_URL" not in environment
    assert environment["DATABASE_URL"] == ""
    assert environment["ENJOLIVER_STATE_DIR"] == str(tmp_path)
    assert environment["PATH"] == os.environ["PATH"]


def test_the_key_of_sources_follows_what_is_named():
    assert sources_key(["bench/*.py"]) == sources_key(["bench/*.py", "bench/load.py"])
    assert sources_key(["bench/*.py"]) != sources_key(["bench/load.py"])


def test_a_sample_holds_a_machine_of_each_profile():
    nodes = [Asker(f"mac-{number}", "uuid", "sha", "node") for number in range(50)]
    leader = Asker("mac-leader", "uuid", "sha", "leader")
    sample = pick_sample([*nodes, leader], 5)
    assert leader in sample
    assert len(sample) == len({asker.mac for asker in sample}) == 5
