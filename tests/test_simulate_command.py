"""The options and the exit status of `manage.py simulate`."""

import json

import pytest
from django.core.management import CommandError, call_command

from enjoliver.engine.management.commands.simulate import Command, make_scenario
from simulator.disks import Disks
from simulator.faults import Fault
from simulator.scenario import Arrival, Until


def parse(*arguments):
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
    [
        ("--machines", "0"),
        ("--fault", "nonsense"),
        ("--interval", "0"),
        ("--until", "later"),
        ("--fault", "slow=6"),
    ],
)
def test_options_that_make_no_sense_are_refused(arguments):
    with pytest.raises((CommandError, SystemExit)):
        parse(*arguments)


def test_machines_that_run_already_are_refused(tmp_path):
    disks = Disks(tmp_path / "disks.sqlite3")
    with pytest.raises(CommandError, match="run already"):
        call_command("simulate", "--disks", str(tmp_path / "disks.sqlite3"))
    disks.close()


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
