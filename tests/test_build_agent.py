"""The agent's archive: what `make agent` packs is what the machines' fetch script unpacks."""

import os
import subprocess
import tarfile

import pytest

from tools.build_agent import NAME, PROGRAM, check, pack, sha512
from tools.steps import ROOT, StepFailed

FETCH = ROOT / "templates/ignition/snippets/agent/files/opt/enjoliver/bin/fetch-agent"


@pytest.fixture
def folder(tmp_path):
    """A folder as PyInstaller makes one, with a program that is a script."""
    found = tmp_path / NAME
    (found / "_internal").mkdir(parents=True)
    (found / "_internal/lib.so").write_text("library")
    (found / PROGRAM).write_text("#!/bin/sh\necho enjoliver-agent 0.1.0\n")
    (found / PROGRAM).chmod(0o700)
    return found


def test_the_archive_has_one_folder_and_is_the_same_each_time(folder, tmp_path):
    first = pack(folder, tmp_path / "a.tar.gz").read_bytes()
    os.utime(folder / PROGRAM, (1, 1))
    assert pack(folder, tmp_path / "b.tar.gz").read_bytes() == first
    with tarfile.open(tmp_path / "a.tar.gz") as tar:
        assert {name.split("/")[0] for name in tar.getnames()} == {NAME}
        assert tar.getmember(f"{NAME}/{PROGRAM}").mode == 0o755


def test_the_machines_fetch_script_unpacks_it(folder, tmp_path):
    archive = pack(folder, tmp_path / "agent.tar.gz")
    base = tmp_path / "base"
    base.mkdir()
    environment = {
        **os.environ,
        "ENJOLIVER_AGENT_URL": archive.as_uri(),
        "ENJOLIVER_AGENT_SHA512": sha512(archive),
        "ENJOLIVER_AGENT_BASE": str(base),
    }
    subprocess.run(["bash", str(FETCH)], env=environment, check=True, timeout=180)
    check(base / "agent" / PROGRAM)


def test_a_program_that_does_not_run_stops_the_build(folder):
    (folder / PROGRAM).write_text("#!/bin/sh\necho broken >&2; exit 1\n")
    with pytest.raises(StepFailed, match="broken"):
        check(folder / PROGRAM)
