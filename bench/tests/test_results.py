"""Figures, facts, verdicts and what is written down."""

import json

import pytest
from rich.console import Console

from bench.__main__ import BROKEN, KEPT, NOT_RUN, conclude
from bench.report import print_stage, shown, write_json
from bench.results import Fact, Figure, Spread, StageResult, at_least, at_most, divide


def make_result(*, ratio=1.0, bound=None, holds=True, error=""):
    return StageResult(
        "stage",
        figures=[Figure("speed", "yardstick", Spread.of([ratio]), bound, {"s": 1.0})],
        facts=[Fact("truth", holds, "as seen")],
        error=error,
    )


def test_each_round_is_divided_by_its_own_yardstick():
    assert divide([2, 9, 8], [1, 3, 4]) == Spread(low=2, median=2, high=3, count=3)
    with pytest.raises(ValueError, match="shorter"):
        divide([1, 2], [1])
    with pytest.raises(ValueError, match="sample"):
        divide([], [])


@pytest.mark.parametrize(
    ("bound", "ratio", "is_kept"),
    [
        (at_least(0.6), 0.6, True),
        (at_least(0.6), 0.59, False),
        (at_most(1.2), 1.2, True),
        (at_most(1.2), 1.21, False),
        (None, 99, True),
    ],
)
def test_a_promise_is_judged_by_its_bound(bound, ratio, is_kept):
    assert make_result(ratio=ratio, bound=bound).figures[0].is_kept is is_kept


@pytest.mark.parametrize(
    ("result", "judge_speed", "status"),
    [
        (make_result(), True, KEPT),
        (make_result(ratio=0.1, bound=at_least(1)), True, BROKEN),
        (make_result(ratio=0.1, bound=at_least(1)), False, KEPT),
        (make_result(holds=False), False, BROKEN),
        (make_result(error="JobFailed: x"), False, NOT_RUN),
    ],
)
def test_the_exit_status_says_whether_promises_are_kept(result, judge_speed, status):
    assert conclude(Console(quiet=True), [result], judge_speed=judge_speed) == status


def test_the_table_names_what_is_broken(capsys):
    console = Console(width=120)
    print_stage(console, make_result(ratio=0.5, bound=at_least(0.6)), judge_speed=True)
    print_stage(console, make_result(holds=False, error="[JobFailed]"), judge_speed=False)
    shown_text = capsys.readouterr().out
    assert "BROKEN" in shown_text
    assert "≥ 0.6x" in shown_text
    assert "FALSE" in shown_text
    assert "[JobFailed]" in shown_text


def test_the_json_file_holds_every_number_and_verdict(tmp_path):
    result = make_result(ratio=0.5, bound=at_least(0.6))
    path = write_json(tmp_path / "new", [result], is_quick=True, machine={"cpus": 2})
    document = json.loads(path.read_text())
    figure = document["stages"][0]["figures"][0]
    assert (figure["promise"], figure["is_kept"]) == ("≥ 0.6x", False)
    assert figure["ratio"] == {"low": 0.5, "median": 0.5, "high": 0.5, "count": 1}
    assert document["machine"] == {"cpus": 2}


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.12345, "0.123"), (1234.5, "1234"), (12.345, "12.3"), ("x", "x"), (3, "3")],
)
def test_numbers_are_shown_with_three_digits(value, text):
    assert shown(value) == text
