"""One machine, two machines."""

import pytest

from enjoliver.common.words import counted


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, "0 machines"), (1, "1 machine"), (2, "2 machines"), (11, "11 machines")],
)
def test_only_one_is_one(number, said):
    assert counted(number, "machine") == said


def test_words_that_change_otherwise_are_given():
    assert counted(1, "machine is", "machines are") == "1 machine is"
    assert counted(3, "machine is", "machines are") == "3 machines are"
