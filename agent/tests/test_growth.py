"""The resident agent runs for years: nothing of it may grow with its reports."""

import threading
import time
from pathlib import Path

from agent.membership import Membership
from agent.report import Reporter
from agent.tests.engines import role_config
from agent.tests.killing import FakePlatform, Guillotine

SLACK = 20
"""What the test's own engine may have open at a moment; a leak would be ten times as much."""


def test_two_hundred_reports_leave_no_file_thread_or_socket_behind(machine, engine, start):
    """Also of an engine that is away each second time, or lets it wait for a slot."""
    machine.install(role_config())
    engine.config, engine.strategy = role_config(extra="new"), "reboot"
    engine.slot_holder = "another"
    run = start("report", ENJOLIVER_AGENT_CHECK_SYSTEM="no")
    run.teller.start()
    reporter, membership = Reporter(run, FakePlatform(machine, Guillotine())), Membership.of(run)

    def report(times):
        for turn in range(times):
            engine.is_away = turn % 2 == 0
            reporter.once()
            membership.refresh()

    report(20)
    before, files = in_use(), sorted(path.name for path in run.store.folder.iterdir())
    report(200)
    deadline = time.monotonic() + 120
    while in_use() > before + SLACK:
        assert time.monotonic() < deadline, (before, in_use())
        time.sleep(0.02)
    assert sorted(path.name for path in run.store.folder.iterdir()) == files
    run.teller.stop()


def in_use():
    """Open files and threads of this process."""
    return len(list(Path("/proc/self/fd").iterdir())) + threading.active_count()
