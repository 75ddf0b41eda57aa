"""A watched run, its signals, and the command's options."""

import asyncio
import io
import json
import os
import signal

import pytest
from django.core.management import CommandError, call_command
from rich.console import Console

from enjoliver.engine.management.commands.simulate import Command
from simulator.display import Display
from simulator.faults import Fault
from simulator.run import run_watched
from simulator.scenario import Arrival, Scenario, Until
from simulator.tests.fake_engine import FakeEngine


def watch(engine, at_start=lambda: None, **options):
    async def story():
        async with engine.serve():
            scenario = Scenario(url=engine.url, machines=3, interval=0.1, **options)
            display = Display(Console(file=io.StringIO()), machines=3, title="")
            at_start()
            return await run_watched(scenario, display)

    return asyncio.run(story())


def test_a_watched_run_ends_by_itself():
    assert watch(FakeEngine(), deadline=30).is_good


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_an_endless_run_in_order_and_leaves_the_handlers_as_they_were(number):
    before = signal.getsignal(number)

    def soon():
        asyncio.get_running_loop().call_later(0.5, os.kill, os.getpid(), number)

    result = watch(FakeEngine(), soon, until=Until.FOREVER, deadline=60)
    assert result.seconds < 30
    assert signal.getsignal(number) is before


def parse(*arguments):
    from enjoliver.engine.management.commands.simulate import make_scenario

    parser = Command().create_parser("manage.py", "simulate")
    return make_scenario(vars(parser.parse_args(list(arguments))))


def test_options_make_a_scenario(settings, tmp_path):
    settings.STATE_DIR = tmp_path
    scenario = parse(
        *("--machines", "7", "--fault", "slow=2", "--fault", "lies", "--until", "installed"),
        *("--arrival", "one-by-one", "--control-plane", "3", "--deadline", "9", "--seed", "4"),
    )
    assert scenario.machines == 7
    assert scenario.faults == {Fault.SLOW: 2, Fault.LIES: 1}
    assert scenario.until is Until.INSTALLED
    assert scenario.arrival is Arrival.ONE_BY_ONE
    assert (scenario.control_plane, scenario.deadline) == (3, 9)
    assert scenario.disks == tmp_path / "simulator" / "seed-4.sqlite3"


def test_forever_has_no_deadline_and_new_disks_have_no_file():
    scenario = parse("--until", "forever", "--new-disks")
    assert scenario.deadline == float("inf")
    assert scenario.disks is None


@pytest.mark.parametrize(
    "arguments",
    [("--machines", "0"), ("--fault", "nonsense"), ("--interval", "0"), ("--until", "later")],
)
def test_options_that_make_no_sense_are_refused(arguments):
    with pytest.raises((CommandError, SystemExit)):
        parse(*arguments)


def test_the_command_says_by_its_status_how_it_ended(capsys):
    with pytest.raises(SystemExit) as left:
        call_command(
            "simulate",
            *("--url", "http://127.0.0.1:1", "--machines", "1", "--deadline", "0.5"),
            *("--interval", "0.2", "--new-disks", "--json"),
        )
    assert left.value.code == 1
    summary = json.loads(capsys.readouterr().out)
    assert summary["unfinished_count"] == 1
