"""Ledger, lock, waiting, background programs, console, key: the lab's small parts."""

import io
import itertools
import json
import os
import sys
import time
from pathlib import Path

import psutil
import pytest

from lab import programs
from lab.console import show_console
from lab.errors import LabFailed
from lab.ledger import Ledger, locked
from lab.programs import Background, end, end_marked, marked, run, start
from lab.sshkey import make_key, ssh_command
from lab.takedown import mounts_below
from lab.wait import TimeIsUp, until


def test_the_ledger_keeps_what_was_made_in_order(paths):
    ledger = Ledger(paths)
    assert not ledger.exists
    for name in ("b", "a", "b"):
        ledger.note("namespace", name)
    ledger.put("topology", {"name": "x"})
    again = Ledger(paths)
    assert again.names("namespace") == ["b", "a"]
    again.forget("namespace", "b")
    again.forget("namespace", "never")
    assert ledger.names("namespace") == ["a"]
    assert ledger.read()["topology"] == {"name": "x"}


@pytest.mark.parametrize("text", ["{", "[]", json.dumps({"version": 99})])
def test_a_ledger_that_is_not_ours_stops_everything(paths, text):
    paths.root.mkdir(parents=True)
    paths.ledger.write_text(text)
    with pytest.raises(LabFailed, match=r"lab\.json"):
        Ledger(paths).note("namespace", "x")
    assert paths.ledger.read_text() == text


def test_a_process_of_the_ledger_is_that_process_only(paths):
    ledger = Ledger(paths)
    me = Background.of(os.getpid())
    ledger.put_process("me", me)
    ledger.put_process("older", Background(me.pid, me.started - 100))
    assert ledger.process("me") == me
    assert ledger.process("older") is None
    ledger.put_process("me", None)
    assert ledger.process_names() == ["older"]


def test_a_process_is_known_whatever_becomes_of_the_clock(monkeypatch):
    me, booted = Background.of(os.getpid()), psutil.boot_time()
    monkeypatch.setattr("psutil._psplatform.boot_time", lambda: booted + 3600)
    assert psutil.boot_time() == booted + 3600
    assert me.is_alive
    assert Background.of(os.getpid()).started == pytest.approx(me.started, abs=0.1)


def test_a_process_is_known_while_the_clock_is_being_slewed(monkeypatch):
    me, booted = Background.of(os.getpid()), psutil.boot_time()
    told = itertools.chain([booted], itertools.repeat(booted + 1))
    monkeypatch.setattr("psutil._psplatform.boot_time", lambda: next(told))
    assert me.is_alive


def test_one_command_at_a_time_changes_a_lab(paths):
    with locked(paths), pytest.raises(LabFailed, match="Another command"), locked(paths):
        pass
    with locked(paths, is_last=True):
        pass
    assert not paths.lock.exists()


def test_waiting_asks_until_the_answer_is_true():
    answers = iter([None, 0, "yes"])
    assert until(lambda: next(answers), seconds=5, what="an answer", every=0.001) == "yes"


def test_waiting_ends_with_what_was_seen_last():
    with pytest.raises(TimeIsUp, match="the tide did not happen within 0 s: it was low"):
        until(lambda: False, seconds=0, what="the tide", last=lambda: "it was low")


def test_a_program_that_fails_says_what_it_complained():
    with pytest.raises(LabFailed, match="ended with 3: no way"):
        run([sys.executable, "-c", "import sys; print('no way', file=sys.stderr); sys.exit(3)"])
    with pytest.raises(LabFailed, match="no-such-program is not installed"):
        run(["no-such-program"])
    with pytest.raises(LabFailed, match="did not end within 0 s"):
        run([sys.executable, "-c", "import time; time.sleep(60)"], seconds=0.2)


def test_what_runs_in_the_background_is_found_by_its_mark_and_ends(paths):
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1); time.sleep(99)"
    log = paths.root / "log"
    process = start([sys.executable, "-uc", stubborn], folder=paths.root, part="p", log=log)
    until(lambda: log.read_text(), seconds=120, what="its start")
    assert process.is_alive
    assert [one.pid for one in marked(paths.root)] == [process.pid]
    assert [one.pid for one in marked(paths.root, "p")] == [process.pid]
    assert marked(paths.root, "q") == []
    process.stop(0.1)
    assert not Background(process.pid, process.started).is_alive
    end(marked(paths.root))
    assert marked(paths.root) == []


def test_what_was_started_while_the_others_were_looked_for_ends_as_well(paths, monkeypatch):
    """As a worker does that is forked between the list of processes and the end of its parent."""
    command = [sys.executable, "-c", "import time; time.sleep(600)"]

    def start_one():
        start(command, folder=paths.root, part="p", log=paths.root / "log")

    def look_first(folder, part=""):
        found = marked(folder, part)
        if late:
            late.pop()()
        return found

    start_one()
    late = [start_one, start_one]
    monkeypatch.setattr(programs, "marked", look_first)
    end_marked(paths.root, "p", 0.0)
    assert marked(paths.root) == []


def test_a_console_is_shown_whole_and_anew_when_it_begins_anew(tmp_path, monkeypatch):
    file, out = tmp_path / "console.log", io.StringIO()
    show_console(file, out, is_following=False)
    file.write_bytes(b"one\n\xff\n")
    scenes = iter([lambda: file.write_text("two\n"), lambda: None])

    def pause(_):
        try:
            next(scenes)()
        except StopIteration:
            raise KeyboardInterrupt from None

    monkeypatch.setattr(time, "sleep", pause)
    with pytest.raises(KeyboardInterrupt):
        show_console(file, out, is_following=True)
    assert out.getvalue() == "one\n\ufffd\ntwo\n"


def test_the_key_is_made_once_and_only_for_its_owner(paths, own_topology):
    make_key(paths)
    content = paths.ssh_key.read_text()
    make_key(paths)
    assert paths.ssh_key.read_text() == content
    assert paths.ssh_key.stat().st_mode & 0o077 == 0
    assert paths.ssh_public_key.read_text().startswith("ssh-ed25519 ")
    # Killed between the two halves: both are made anew.
    paths.ssh_public_key.unlink()
    make_key(paths)
    assert paths.ssh_key.read_text() != content
    command = ssh_command(paths, own_topology.machines[0], ["uptime"])
    assert command[-3:] == [f"core@{own_topology.machines[0].address.ip}", "--", "uptime"]
    assert "BatchMode=yes" in command
    assert "BatchMode=yes" not in ssh_command(paths, own_topology.machines[0])


def test_mounts_below_a_folder_are_those_and_no_others():
    assert "/proc" in mounts_below(Path("/"))
    assert mounts_below(Path("/proc/self")) == []
