"""The whole harness once, small: every stage measures, every fact holds, no ratio is judged."""

import json
import os
import subprocess
import sys

import pytest

from bench.__main__ import STAGES, main
from bench.databases import POSTGRESQL, SQLITE
from bench.places import ROOT

# Only these stages differ by database; `make test` runs these tests once on each.
IS_POSTGRESQL = bool(os.environ.get("DATABASE_URL"))
BY_DATABASE = ["reports", "scheduling", "rollouts"]
DATABASE = POSTGRESQL if IS_POSTGRESQL else SQLITE


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """One folder for all stages: they share their fleets."""
    return tmp_path_factory.mktemp("bench")


@pytest.mark.e2e
@pytest.mark.matchbox
@pytest.mark.parametrize(
    "stage", ["reports", "scheduling", "rollouts"] if IS_POSTGRESQL else STAGES
)
def test_every_stage_runs_and_its_facts_hold(stage, cache, tmp_path):
    command = [sys.executable, "-m", "bench", "--quick", "--only", stage, "--database", DATABASE]
    command += ["--cache", str(cache), "--results", str(tmp_path / "results")]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1800)
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    (file,) = (tmp_path / "results").iterdir()
    (result,) = json.loads(file.read_text())["stages"]
    assert result["error"] == ""
    assert result["figures"]
    assert all(fact["holds"] for fact in result["facts"])
    assert not (cache / "scratch").exists()


def test_a_stage_that_cannot_be_measured_is_no_success(tmp_path, monkeypatch, capsys):
    def broken(context):
        raise RuntimeError("no server")

    monkeypatch.setitem(STAGES, "storm", broken)
    arguments = ["--quick", "--only", "storm", "--cache", str(tmp_path / "cache")]
    assert main([*arguments, "--results", str(tmp_path / "results")]) == 2
    assert "no server" in capsys.readouterr().out
