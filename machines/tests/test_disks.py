"""The word for the size of a machine's disks."""

import pytest

from machines.disks import disk_profile

GIB = 1 << 30
LADDER = [("S", 10), ("M", 20), ("L", 30)]


@pytest.mark.parametrize(
    ("total_bytes", "word"),
    [
        (0, "inMemory"),
        (1 * GIB, "S"),
        (int(9.07 * GIB), "S"),
        (10 * GIB - 1, "S"),
        (10 * GIB, "M"),
        (20 * GIB, "L"),
        (30 * GIB, "L"),
        (3000 * GIB, "L"),
    ],
)
def test_limits_are_exclusive_and_the_top_step_has_no_end(total_bytes, word):
    assert disk_profile(total_bytes, LADDER) == word
