"""The demo, as a user runs it: twice on the same state."""

import subprocess
import sys

import pytest

from tests.e2e.places import ROOT, environment_of, private_database

# The demo is the engine with its embedded defaults; on other servers the tests beside it run it.
pytestmark = [pytest.mark.e2e, pytest.mark.once]


def demo(environment):
    """Run the demo to its end; status and what it said."""
    done = subprocess.run(
        [sys.executable, "manage.py", "demo", "--exit"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1200,
        check=False,
    )
    return done.returncode, done.stdout


def own_strategies(environment):
    """How many machines have a strategy of their own."""
    question = "from lifecycle.models import MachineStrategy as own; print(own.objects.count())"
    command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", question]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_demo_tells_its_story_and_tells_it_again_on_the_same_state(tmp_path):
    with private_database() as database:
        environment = environment_of(tmp_path, database)
        del environment["ENJOLIVER_SYNC_INTERVAL_SECONDS"]
        status, said = demo(environment)
        assert status == 0, said
        assert "All 5 machines run what they should." in said
        assert "Drift" in said
        assert "All up to date again." in said
        assert "at most 1 machine down at once" in said
        assert f"http://{environment['ENJOLIVER_BIND']}/ui" in said
        assert own_strategies(environment) == "0"  # nobody is blocked for policies made later
        status, said = demo(environment)
        assert status == 0, said
        assert "for the first time" not in said
        assert "All up to date again." in said


def test_a_demo_that_cannot_start_says_why(tmp_path):
    with private_database() as database:
        environment = environment_of(tmp_path, database, ENJOLIVER_BIND="192.0.2.1:5000")
        environment["ENJOLIVER_API_URI"] = "http://192.0.2.1:5000"
        status, said = demo(environment)
    assert status != 0
    assert "ENJOLIVER_BIND" in said
    assert "Traceback" not in said
