"""Programs that hang, never stop talking, or leave something behind."""

import os
import signal
import sys
import threading
from contextlib import suppress

import pytest

from agent import commands

_LEAVE = "setsid sleep 600 & echo $! > {place}"


def within(seconds, work):
    """What `work` returns; fails, instead of hanging, when that takes longer."""
    found = []
    worker = threading.Thread(target=lambda: found.append(work()), daemon=True)
    worker.start()
    worker.join(seconds)
    assert found, f"it hangs for more than {seconds} s"
    return found[0]


@pytest.fixture
def leave(tmp_path):
    """Shell words that leave a service behind, which keeps the program's output open."""
    place = tmp_path / "pid"
    yield _LEAVE.format(place=place)
    with suppress(FileNotFoundError, ValueError, ProcessLookupError):
        os.kill(int(place.read_text()), signal.SIGKILL)


def test_a_service_that_a_program_leaves_behind_keeps_nobody_waiting(leave):
    result = within(120, lambda: commands.run(["sh", "-c", leave], seconds=300))
    assert result.is_good


def test_a_late_program_with_a_service_of_its_own_is_left_in_time(leave):
    late = ["sh", "-c", f"{leave}; sleep 600"]
    result = within(120, lambda: commands.run(late, seconds=1))
    assert "stopped after 1 s" in result.sentence()


def test_a_program_that_never_stops_talking_costs_no_memory():
    talk = "import sys\nwhile True: sys.stdout.write('x' * 65536)"
    result = commands.run([sys.executable, "-c", talk], seconds=1)
    assert result.status is None
    said = commands.run([sys.executable, "-c", "print('x' * (8 << 20))"], seconds=120)
    assert said.is_good
    assert len(said.output) == 4 << 20


def test_of_many_errors_the_last_one_is_told():
    words = "import sys; sys.stderr.write('no\\n' * 100000 + 'the disk is gone\\n'); sys.exit(3)"
    result = commands.run([sys.executable, "-c", words], seconds=120)
    assert result.sentence() == "status 3: the disk is gone"


def test_a_program_that_is_silent_is_waited_for():
    result = commands.run(["sh", "-c", "exec >&- 2>&-; sleep 0.2; exit 4"], seconds=120)
    assert result.status == 4
    assert commands.run(["sh", "-c", "exec >&- 2>&-; sleep 60"], seconds=0.3).status is None


def test_all_that_was_said_is_heard():
    result = commands.run(["sh", "-c", "echo out; echo err >&2"], seconds=120)
    assert (result.output, result.errors) == ("out\n", "err\n")
