"""Pieces of work: one that fails stops no other, and all that failed is raised at the end."""

import pytest

from enjoliver.common.passes import Pieces


def work(*numbers):
    """Turn 0 to 9 upside down; returns what could be done."""
    pieces, done = Pieces(), []
    for number in numbers:
        with pieces.piece():
            done.append(1 / number)
    return pieces, done


def test_nothing_is_raised_when_all_went_well():
    pieces, done = work(1, 2)
    pieces.finish()
    assert done == [1, 0.5]


def test_one_failure_is_raised_as_it_is_after_the_others_were_done():
    pieces, done = work(1, 0, 2)
    assert done == [1, 0.5]
    with pytest.raises(ZeroDivisionError):
        pieces.finish()


def test_several_failures_are_raised_together():
    pieces, done = work(0, 1, 0)
    assert done == [1]
    with pytest.raises(ExceptionGroup) as caught:
        pieces.finish()
    assert [type(error) for error in caught.value.exceptions] == [ZeroDivisionError] * 2


def test_the_end_of_the_process_is_no_failure():
    pieces = Pieces()
    with pytest.raises(SystemExit), pieces.piece():
        raise SystemExit
    assert not pieces.failures
